"""A disk that keeps what was synced, and of the rest whatever it likes.

A file's bytes are safe once the file was synced; a name is safe once its folder was. What came later is
kept or lost in any choice, write by write and sector by sector. Order is kept nowhere: a later write may
be there without an earlier one. This is the least that POSIX promises, and less than common file systems do.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.acceptance.power.trace import Call

SECTOR = 512

Keep = Callable[[int, int], bool]
"""Whether a sector of a pending change is kept: number of the change, number of the sector in it."""


@dataclass(slots=True)
class Inode:
    """A file.

    Attributes:
        live: Its bytes as the process sees them.
        safe: Its bytes at its last sync.
        pending: Changes since then.
    """

    live: bytearray = field(default_factory=bytearray)
    safe: bytes = b""
    pending: list[Call] = field(default_factory=list)

    def apply(self, call: Call) -> None:
        """A write or truncation by the process."""
        if call.name == "write" and call.offset < 0:
            call = Call("write", call.path, offset=len(self.live), data=call.data)
        change(self.live, call, lambda _: True)
        self.pending.append(call)

    def sync(self) -> None:
        """All of it is safe."""
        self.safe, self.pending = bytes(self.live), []

    def after(self, first: int, keep: Keep) -> bytes:
        """What a power cut leaves; its changes are numbered from `first`."""
        left = bytearray(self.safe)
        for number, call in enumerate(self.pending, first):
            change(left, call, lambda sector, number=number: keep(number, sector))  # type: ignore[misc]
        return bytes(left)


def change(content: bytearray, call: Call, keep: Callable[[int], bool]) -> None:
    """Make the kept sectors of a change."""
    if call.name == "truncate":
        if keep(0):
            del content[call.offset :]
            content.extend(bytes(call.offset - len(content)))
        return
    for sector, start in enumerate(range(0, len(call.data), SECTOR)):
        if keep(sector):
            piece, at = call.data[start : start + SECTOR], call.offset + start
            content.extend(bytes(max(0, at + len(piece) - len(content))))
            content[at : at + len(piece)] = piece


@dataclass
class Disk:
    """Files by name, and what of them is safe.

    Attributes:
        names: As the process sees them.
        safe_names: As at their folders' last syncs.
        moves: Changes of names since then.
    """

    names: dict[str, Inode] = field(default_factory=dict)
    safe_names: dict[str, Inode] = field(default_factory=dict)
    moves: list[Call] = field(default_factory=list)

    def run(self, call: Call) -> None:
        """A call by the process."""
        if call.name == "create":
            if call.path not in self.names:
                self.names[call.path] = Inode()
                self.moves.append(Call("link", call.path, call.path))
                self._made[id(self.moves[-1])] = self.names[call.path]
        elif call.name == "mkdir":
            self.moves.append(call)
        elif call.name in {"write", "truncate"}:
            self.names[call.path].apply(call)
        elif call.name == "sync":
            self._sync(call.path)
        elif call.name in {"link", "rename", "unlink"}:
            inode = self.names[call.path]
            self._move(self.names, call, inode)
            self.moves.append(call)
            self._made[id(call)] = inode

    def __post_init__(self) -> None:
        self._made: dict[int, Inode] = {}

    def _move(self, names: dict[str, Inode], call: Call, inode: Inode) -> None:
        if call.name in {"link", "rename"}:
            names[call.other] = inode
        if call.name in {"rename", "unlink"}:
            names.pop(call.path, None)

    def _sync(self, path: str) -> None:
        if path in self.names:
            self.names[path].sync()
            return
        for move in [move for move in self.moves if str(Path(move.path).parent) == path]:
            if move.name != "mkdir":
                self._move(self.safe_names, move, self._made[id(move)])
            self.moves.remove(move)

    # power cuts

    @property
    def changes(self) -> list[int]:
        """Sectors of each pending change: names first, then bytes, file by file."""
        sizes = [1] * len(self.moves)
        for inode in self._inodes():
            sizes += [max(1, -(-len(call.data) // SECTOR)) for call in inode.pending]
        return sizes

    def after(self, keep: Keep) -> dict[str, bytes]:
        """What a power cut leaves."""
        names = dict(self.safe_names)
        gone: list[str] = []
        for number, move in enumerate(self.moves):
            if move.name == "mkdir":
                gone += [] if keep(number, 0) else [f"{move.path}/"]
            elif keep(number, 0):
                self._move(names, move, self._made[id(move)])
        left: dict[int, bytes] = {}
        number = len(self.moves)
        for inode in self._inodes():
            left[id(inode)] = inode.after(number, keep)
            number += len(inode.pending)
        return {path: left[id(inode)] for path, inode in names.items() if not path.startswith(tuple(gone))}

    def _inodes(self) -> list[Inode]:
        both = [*self.safe_names.values(), *self.names.values(), *self._made.values()]
        return list({id(inode): inode for inode in both}.values())


def cuts(sizes: Sequence[int], seed: int, more: int) -> Iterator[Keep]:
    """Choices of what is kept: nothing, all, every beginning, all but one, one alone, torn ones, and more.

    Args:
        sizes: Sectors of each pending change.
        seed: Of the random choices.
        more: How many random choices, half by change and half by sector.
    """
    count = len(sizes)
    yield lambda *_: False
    yield lambda *_: True
    for number in range(count):
        yield lambda change, _, number=number: change < number  # type: ignore[misc]
        yield lambda change, _, number=number: change != number  # type: ignore[misc]
        yield lambda change, _, number=number: change == number  # type: ignore[misc]
        for half in {sizes[number] // 2} - {0}:
            torn = (number, half)
            yield lambda change, sector, torn=torn: (change, sector) < torn  # type: ignore[misc]
            yield lambda change, sector, torn=torn: change != torn[0] or sector >= torn[1]  # type: ignore[misc]
    yield from itertools.islice(_random(seed), more)


def _random(seed: int) -> Iterator[Keep]:
    for draw in itertools.count():
        by_sector, share = draw % 2, random.Random(f"{seed} {draw}").choice((0.1, 0.5, 0.9))

        def keep(
            change: int, sector: int, draw: int = draw, by: int = by_sector, share: float = share
        ) -> bool:
            return random.Random(f"{seed} {draw} {change} {sector * by}").random() < share

        yield keep
