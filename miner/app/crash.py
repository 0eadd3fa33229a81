"""Dying on purpose: `SWAP_MINER_CRASH_AT=after:store.step:PAYOUT_SIGNED` ends the process there, by SIGKILL.

For tests of recovery, and refused where anything could be lost: every endpoint must be on this machine's
loopback, Bitcoin must be a regtest node there, and every key a development key, which everybody has. Without
the variable nothing is wrapped, and nothing differs. A name may be followed by `:n`, for the n-th time that
the point is reached. `python -m miner.app.crash` lists the points.
"""

from __future__ import annotations

import difflib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Final, NoReturn, TypeVar
from urllib.parse import urlsplit

from miner.app.points import points, surround
from miner.config import Settings
from miner.config.crosscheck import keys_of
from miner.errors import ConfigError

VARIABLE: Final = "SWAP_MINER_CRASH_AT"
Adapter = TypeVar("Adapter")


class Trigger:
    """Ends the process when a point is reached for the n-th time.

    Args:
        point: Its name.
        times: n, from 1.
        die: What ends the process.
    """

    def __init__(self, point: str, times: int, die: Callable[[], None]) -> None:
        self._point = point
        self._left = times
        self._die = die

    def __call__(self, point: str) -> None:
        """Count a point; die at the right one."""
        if point == self._point:
            self._left -= 1
            if self._left == 0:
                self._die()


class CrashPoints:
    """Put around the adapters as they are made; does nothing where no crash is asked for."""

    def __init__(self, trigger: Trigger | None) -> None:
        self._trigger = trigger

    def around(self, adapter: Adapter, name: str) -> Adapter:
        """The adapter; with the trigger around what of it acts, where there is one.

        Args:
            adapter: An adapter.
            name: The boundary it is: `store`, `contract`, `recovery`, or a chain's name.
        """
        return adapter if self._trigger is None else surround(adapter, name, self._trigger)


def asked_for(settings: Settings) -> CrashPoints:
    """What the environment asks for.

    Raises:
        ConfigError: It names no point, or these are not the settings of a test.
    """
    wish = os.environ.get(VARIABLE)
    if wish is None:
        return CrashPoints(None)
    point, times = parse(wish)
    for problem in real_parts(settings):
        raise ConfigError(VARIABLE, f"is for tests, and {problem}", f"Unset {VARIABLE}")
    return CrashPoints(Trigger(point, times, _die))


def parse(wish: str) -> tuple[str, int]:
    """A point's name, and at which time it is meant.

    Raises:
        ConfigError: There is no such point; names those that are written alike.
    """
    name, _, times = wish.rpartition(":")
    if not (times.isascii() and times.isdigit()):
        name, times = wish, "1"
    known = points()
    if name in known and int(times) >= 1:
        return name, int(times)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"Did you mean {' or '.join(near)}?" if near else "`python -m miner.app.crash` lists them"
    raise ConfigError(VARIABLE, f"{wish!r} is no crash point", hint)


def real_parts(settings: Settings) -> Iterator[str]:
    """What in the settings could be more than a test's, in words."""
    contract, bitcoin = settings.contract, settings.bitcoin
    archive = () if contract.archive_endpoint is None else (contract.archive_endpoint,)
    yield from (f"{url} is not on this machine" for url in (*contract.endpoints, *archive) if not _local(url))
    if bitcoin is not None:
        if bitcoin.network != "regtest":
            yield f"Bitcoin is {bitcoin.network}"
        if not _local(bitcoin.url):
            yield f"{bitcoin.url} is not on this machine"
    yield from (
        f"{'.'.join(map(str, path))} is no development key"
        for path, key in keys_of(settings)
        if key.uri is None
    )


def _local(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _die() -> NoReturn:
    """End at once: nothing is flushed, closed or given back."""
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("outlived SIGKILL")


if __name__ == "__main__":
    sys.stdout.write("\n".join(points()) + "\n")
