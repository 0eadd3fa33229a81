"""Power loss: what a disk may hold afterwards, from a trace of what a process wrote and synced."""
