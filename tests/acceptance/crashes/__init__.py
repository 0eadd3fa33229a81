"""Deaths at named points: many daemons on one devnet, each with a point of its own to die at."""
