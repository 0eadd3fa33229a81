"""A model block chain: forks, lagging finality, a pool. Deterministic; what a block does is its rules'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Generic, Protocol, TypeVar

from miner.model import Head


class Transaction(Protocol):
    """What a pool and a body hold."""

    @property
    def txid(self) -> str:
        """Canonical id."""


T = TypeVar("T", bound=Transaction)
S = TypeVar("S")
R = TypeVar("R")


@dataclass(frozen=True, slots=True, eq=False)
class Block(Generic[T, S, R]):
    """A block with all that it did.

    Attributes:
        head: Height and hash.
        parent: None for the first.
        time_ms: Its timestamp.
        body: What it holds, in order.
        receipts: What came of each.
        state: After the block; never changed.
    """

    head: Head
    parent: Block[T, S, R] | None
    time_ms: int
    body: tuple[T, ...]
    receipts: tuple[R, ...]
    state: S

    @property
    def height(self) -> int:
        """Block number."""
        return self.head.height

    @property
    def parent_hash(self) -> str:
        """The first block has itself for parent."""
        return self.parent.head.hash if self.parent else self.head.hash

    def back(self) -> Iterator[Block[T, S, R]]:
        """This block and those before it, down to the first."""
        at: Block[T, S, R] | None = self
        while at is not None:
            yield at
            at = at.parent

    def under(self, height: int) -> Block[T, S, R]:
        """The ancestor at a height."""
        return next(block for block in self.back() if block.height == height)


class Rules(Protocol[T, S, R]):
    """What blocks of one chain do."""

    def assemble(self, parent: Block[T, S, R], pool: Iterable[T], time_ms: int) -> Assembled[T, S, R]:
        """A block's content out of the pool."""

    def admit(self, chain: ModelChain[T, S, R], tx: T) -> Iterable[str]:
        """Judge a transaction that wants into the pool of `chain`.

        Returns:
            Ids of what it replaces there.

        Raises:
            Refused: The pool's word.
        """


@dataclass(frozen=True, slots=True)
class Assembled(Generic[T, S, R]):
    """What a new block will hold.

    Attributes:
        dropped: Ids that the pool forgets, since they can land no more.
    """

    body: tuple[T, ...]
    receipts: tuple[R, ...]
    state: S
    dropped: tuple[str, ...] = ()


class ModelChain(Generic[T, S, R]):
    """The node of a model chain.

    Attributes:
        canonical: The best chain; a block's index is its height.
        tips: Every block that was best when a reorganisation came.
        pool: What waits, oldest first.
        stalled: Whether finality stands still.
        lag: Blocks from the best head to the finalised one.
        held_back: What producers leave out for now.
        submitted: Everything that the pool was ever given, with the heads at that time.
        ever: Every transaction that was ever in a block, on whatever fork.
        signed: What was ever signed for it: what bytes mean outlives the process that signed them.
        listeners: Called at each change of the best head.
        on_submit: Called with each transaction that the pool is given.
    """

    def __init__(
        self,
        rules: Rules[T, S, R],
        first: S,
        *,
        name: str,
        prefix: str,
        genesis: str,
        block_ms: int,
        time_ms: int,
        lag: int,
    ) -> None:
        self._rules = rules
        self._name = name
        self._prefix = prefix
        self._forks = 0
        self.block_ms = block_ms
        start: Block[T, S, R] = Block(Head(0, genesis), None, time_ms, (), (), first)
        self.canonical: list[Block[T, S, R]] = [start]
        self.tips: list[Block[T, S, R]] = []
        self.pool: dict[str, T] = {}
        self.stalled = False
        self.lag = lag
        self.held_back: Callable[[T], bool] = _nothing
        self.submitted: list[tuple[Block[T, S, R], Block[T, S, R], T]] = []
        self.ever: dict[str, T] = {}
        self.signed: dict[bytes, T] = {}
        self.listeners: list[Callable[[], None]] = []
        self.on_submit: Callable[[T], None] = _ignore
        self._by_hash = {genesis: start}
        self._places: dict[str, tuple[Block[T, S, R], int]] = {}
        self._finalised = start

    # views

    @property
    def best(self) -> Block[T, S, R]:
        """Newest block of the best chain."""
        return self.canonical[-1]

    @property
    def finalised(self) -> Block[T, S, R]:
        """Newest finalised block."""
        return self._finalised

    @property
    def genesis(self) -> str:
        """Hash of the first block."""
        return self.canonical[0].head.hash

    def at(self, height: int) -> Block[T, S, R] | None:
        """The best chain's block at a height."""
        return self.canonical[height] if 0 <= height < len(self.canonical) else None

    def block(self, block_hash: str) -> Block[T, S, R] | None:
        """Any block that ever was, on whatever fork."""
        return self._by_hash.get(block_hash)

    def is_canonical(self, head: Head) -> bool:
        """Whether a block is on the best chain."""
        found = self.at(head.height)
        return found is not None and found.head.hash == head.hash

    def find(self, txid: str) -> tuple[Block[T, S, R], int] | None:
        """Block of the best chain that holds a transaction, and its place there."""
        return self._places.get(txid)

    # what time and others do

    def produce(self, count: int = 1, *, time_ms: int | None = None) -> Block[T, S, R]:
        """Make blocks out of what waits.

        Args:
            count: How many.
            time_ms: Time of the first, where it is not simply the next; later than its parent's.
        """
        for _ in range(count):
            parent = self.best
            time_ms = parent.time_ms + self.block_ms if time_ms is None else time_ms
            waiting = [tx for tx in self.pool.values() if not self.held_back(tx)]
            made = self._rules.assemble(parent, waiting, time_ms)
            head = Head(parent.height + 1, self._hash(parent))
            self._push(Block(head, parent, time_ms, made.body, made.receipts, made.state))
            for txid in (*(tx.txid for tx in made.body), *made.dropped):
                self.pool.pop(txid, None)
            time_ms = None
        self._moved()
        return self.best

    def fork(self, depth: int, blocks: int | None = None, *, resubmit: bool = True) -> None:
        """Replace the newest blocks by others, one more where not told how many.

        Args:
            depth: How many go.
            blocks: How many come.
            resubmit: Whether what was in them waits again; else it is lost, with the pool.
        """
        lost = self._cut(self.best.height - depth)
        self._forks += 1
        before = self.pool
        self.pool = {}
        if resubmit:
            self.pool = {tx.txid: tx for block in lost for tx in block.body} | before
        self.produce(depth + 1 if blocks is None else blocks)

    def switch(self, tip: Block[T, S, R]) -> None:
        """Make the branch that ends at `tip` the best one; what was in the other waits again."""
        branch: list[Block[T, S, R]] = []
        for block in tip.back():
            if self.is_canonical(block.head):
                break
            branch.append(block)
        lost = self._cut(tip.height - len(branch))
        for block in reversed(branch):
            self._push(block)
        self._forks += 1
        again = {tx.txid: tx for block in lost for tx in block.body} | self.pool
        self.pool = {txid: tx for txid, tx in again.items() if txid not in self._places}
        self._moved()

    def submit(self, tx: T) -> None:
        """Give a transaction to the pool. That it is known is no error.

        Raises:
            Refused: The pool's word.
        """
        self.submitted.append((self.best, self._finalised, tx))
        self.on_submit(tx)
        if tx.txid in self.pool:
            return
        replaced = self._rules.admit(self, tx)
        for txid in replaced:
            self.pool.pop(txid, None)
        self.pool[tx.txid] = tx

    def force(self, tx: T) -> None:
        """Let a transaction wait that no pool would have to judge."""
        self.pool[tx.txid] = tx

    def finalise_up_to_lag(self) -> None:
        """Move the finalised head to where it belongs; back as well, when its block is canonical no more."""
        target = max(self.best.height - self.lag, 0)
        if not self.is_canonical(self._finalised.head) or target > self._finalised.height:
            self._finalised = self.canonical[target]

    def _moved(self) -> None:
        if not self.stalled:
            self.finalise_up_to_lag()
        for listener in self.listeners:
            listener()

    def _push(self, block: Block[T, S, R]) -> None:
        self.canonical.append(block)
        self._by_hash[block.head.hash] = block
        for place, tx in enumerate(block.body):
            self._places[tx.txid] = (block, place)
            self.ever[tx.txid] = tx

    def _cut(self, height: int) -> list[Block[T, S, R]]:
        lost = self.canonical[height + 1 :]
        if lost:
            self.tips.append(lost[-1])
        del self.canonical[height + 1 :]
        for block in lost:
            for tx in block.body:
                del self._places[tx.txid]
        return lost

    def _hash(self, parent: Block[T, S, R]) -> str:
        text = f"{self._name} {parent.head.hash} {self._forks}"
        return self._prefix + blake2b(text.encode(), digest_size=32).hexdigest()


def _nothing(_tx: object) -> bool:
    return False


def _ignore(_tx: object) -> None:
    return None
