"""Runs a command that dies with its parent: `python guard.py PARENT_PID COMMAND…` (Linux)."""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1

if __name__ == "__main__":
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(sys.argv[1]):
        sys.exit("the parent is gone already")
    os.execvp(sys.argv[2], sys.argv[2:])
