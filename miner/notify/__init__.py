"""What the daemon tells people: the append-only recovery log, and the structured log."""
