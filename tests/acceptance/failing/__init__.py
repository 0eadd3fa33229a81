"""Lying and failing nodes: the daemon with swaps in every state while its nodes misbehave."""
