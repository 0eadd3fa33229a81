"""The demo: swaps of every kind through the real daemon on the devnet, judged from the chains."""
