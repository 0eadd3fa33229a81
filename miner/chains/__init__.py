"""The chains that money moves on: a Substrate node with its lanes, and the rails."""
