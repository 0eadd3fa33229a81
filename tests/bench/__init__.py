"""Counts and ratios: how many blocks a swap takes, how many requests, how much CPU and memory."""
