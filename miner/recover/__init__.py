"""Recover: what an operator may do to a swap by hand, decided from the chain, and done through the store.

`judge` decides and is pure; `facts` reads what it decides on; `acts` writes; `service` takes requests up.
There is no way of sending here: what is to be marked is left to the round that follows.
"""

from miner.recover.service import Recoverer

__all__ = ["Recoverer"]
