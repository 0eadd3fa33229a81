"""What blocks of the model Bitcoin chain do: outpoints, fees, and replacement in the pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

from miner.errors import Refused
from tests.simulation.chain import Assembled, Block, ModelChain

INCREMENT = 1
"""What a replacement pays more than what it evicts, sat/vB of its own size."""


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output.

    Attributes:
        height: Of the block that made it.
    """

    address: str
    sat: int
    height: int


@dataclass(frozen=True, slots=True, eq=False)
class Tx:
    """Signed.

    Attributes:
        inputs: Outpoints (`txid:vout`); none for money from nowhere.
        outputs: Address and satoshi of each.
        fee: Satoshi.
    """

    txid: str
    inputs: tuple[str, ...]
    outputs: tuple[tuple[str, int], ...]
    fee: int

    @property
    def raw(self) -> bytes:
        """Stands for the signed bytes; the chain knows what they say."""
        return b"signed" + bytes.fromhex(self.txid)

    @property
    def vsize(self) -> int:
        """Virtual bytes."""
        return vsize(len(self.inputs), len(self.outputs))

    def outpoint(self, address: str) -> str:
        """The first output to an address."""
        return f"{self.txid}:{next(i for i, (to, _) in enumerate(self.outputs) if to == address)}"


def vsize(inputs: int, outputs: int) -> int:
    """About what segwit inputs and outputs take."""
    return 11 + 68 * inputs + 31 * outputs


def transaction(inputs: Iterable[str], outputs: Iterable[tuple[str, int]], fee: int, salt: int = 0) -> Tx:
    """A signed transaction; signatures are no part of its id."""
    ins, outs = tuple(inputs), tuple(outputs)
    text = repr((ins, outs, 0 if ins else salt))
    return Tx(blake2b(text.encode(), digest_size=32).hexdigest(), ins, outs, fee)


@dataclass(frozen=True, slots=True)
class Spent:
    """What came of a transaction: the coins that it spent."""

    coins: tuple[Coin, ...] = ()


@dataclass(frozen=True, slots=True)
class BtcState:
    """Unspent outputs by outpoint."""

    coins: Mapping[str, Coin] = field(default_factory=dict)


BtcChain = ModelChain[Tx, BtcState, Spent]
BtcBlock = Block[Tx, BtcState, Spent]


class BtcRules:
    """Consensus, and one node's policy."""

    def assemble(self, parent: BtcBlock, pool: Iterable[Tx], time_ms: int) -> Assembled[Tx, BtcState, Spent]:
        """In the order they came; what conflicts with the block is forgotten."""
        waiting = list(pool)
        if not waiting:
            return Assembled((), (), parent.state)
        coins, height = dict(parent.state.coins), parent.height + 1
        body: list[Tx] = []
        receipts: list[Spent] = []
        progress = True
        while progress:
            progress = False
            for tx in list(waiting):
                if any(spent not in coins for spent in tx.inputs):
                    continue
                receipts.append(Spent(tuple(coins.pop(spent) for spent in tx.inputs)))
                for vout, (address, sat) in enumerate(tx.outputs):
                    coins[f"{tx.txid}:{vout}"] = Coin(address, sat, height)
                body.append(tx)
                waiting.remove(tx)
                progress = True
        used = {spent for tx in body for spent in tx.inputs}
        dropped = tuple(tx.txid for tx in waiting if used & set(tx.inputs))
        return Assembled(tuple(body), tuple(receipts), BtcState(coins), dropped)

    def admit(self, chain: BtcChain, tx: Tx) -> Iterable[str]:
        """`sendrawtransaction`: BIP 125 without its limit on how many."""
        made = {f"{each.txid}:{n}" for each in chain.pool.values() for n in range(len(each.outputs))}
        if any(spent not in chain.best.state.coins and spent not in made for spent in tx.inputs):
            raise Refused(tx.txid, "missing_inputs")
        evicted = conflicts(chain, tx.inputs)
        if not evicted:
            return []
        direct = [each for each in evicted if set(each.inputs) & set(tx.inputs)]
        least = sum(each.fee for each in evicted) + INCREMENT * tx.vsize
        if tx.fee < least or any(tx.fee * r.vsize <= r.fee * tx.vsize for r in direct):
            raise Refused(tx.txid, "insufficient_fee", f"{tx.fee} of {least}")
        return [each.txid for each in evicted]


def conflicts(chain: BtcChain, inputs: Iterable[str]) -> list[Tx]:
    """What in the pool spends any of these outpoints, with all that spends from that."""
    gone = set(inputs)
    found: list[Tx] = []
    for tx in chain.pool.values():  # parents come before their children
        if gone & set(tx.inputs):
            found.append(tx)
            gone |= {f"{tx.txid}:{vout}" for vout in range(len(tx.outputs))}
    return found


def drop_orphans(chain: BtcChain) -> None:
    """A pool keeps nothing that spends what is not there: with a parent go its children."""
    while True:
        made = {f"{tx.txid}:{vout}" for tx in chain.pool.values() for vout in range(len(tx.outputs))}
        there = made | chain.best.state.coins.keys()
        orphans = [tx.txid for tx in chain.pool.values() if not there.issuperset(tx.inputs)]
        if not orphans:
            return
        for txid in orphans:
            del chain.pool[txid]
