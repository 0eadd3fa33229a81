"""Model chains, the services over them, and an oracle of the laws; all in memory, on a virtual clock."""
