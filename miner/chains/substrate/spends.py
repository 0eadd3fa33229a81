"""Law 9 on nonces: what an account has sent, block by block, and what each of it gave to whom."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from miner.chains.substrate.addresses import address_of, public_key
from miner.chains.substrate.events import Transfer
from miner.chains.substrate.node import SubstrateNode
from miner.errors import ReadFailed
from miner.model import AccountRow, Head

ADOPTED = "adopted:"
"""Prefix of the slot of a payout that was made outside and credited to a swap; its id follows."""
TOLD_SPENDS = 20
"""How many unexplained spends are named; the rest is counted."""
_UNKNOWN_METHOD = "-32601"


@dataclass(frozen=True, slots=True)
class Spend:
    """A transaction that an account signed, in a block.

    Attributes:
        nonce: Its nonce.
        txid: Its id.
        block: The block that holds it.
        index: Its place there.
        moved: Every transfer it caused, from whomever.
    """

    nonce: int
    txid: str
    block: Head
    index: int
    moved: tuple[Transfer, ...]

    def __str__(self) -> str:
        given = ", ".join(f"{each.amount} rao to {address_of(each.recipient)}" for each in self.moved)
        return f"{self.txid} in block {self.block.height} {'paid ' + given if given else 'moved nothing'}"


class Spends:
    """Reads what accounts of one chain have sent."""

    def __init__(self, node: SubstrateNode) -> None:
        self._node = node

    async def between(self, account: str, low: int, high: int) -> list[Spend]:
        """What the account sent in the finalised blocks above `low` and up to `high`, oldest first.

        Raises:
            ReadFailed: Nothing was learned; `Discarded` where the state is not kept any more.
        """
        first, last = await self._nonce(account, low), await self._nonce(account, high)
        return await self._halve(account, (low, first), (high, last))

    async def _halve(self, account: str, low: tuple[int, int], high: tuple[int, int]) -> list[Spend]:
        if low[1] == high[1]:
            return []
        if low[0] + 1 == high[0]:
            return await self._in_block(account, high[0], low[1])
        middle = (low[0] + high[0]) // 2
        at = (middle, await self._nonce(account, middle))
        return await self._halve(account, low, at) + await self._halve(account, at, high)

    async def _nonce(self, account: str, height: int) -> int:
        at = Head(height, await self._node.finalised_hash(height))
        return (await self._node.account(account, at)).nonce

    async def _in_block(self, account: str, height: int, nonce: int) -> list[Spend]:
        """The account's transactions of one block; their nonces follow each other from `nonce` on."""
        body = await self._node.finalised_body(height)
        transfers = (await self._node.blocks.state(body.head.hash)).events.transfers
        key, found = public_key(account), list[Spend]()
        for index, signer in enumerate(body.signers):
            if signer == key:
                moved = tuple(each for each in transfers if each.extrinsic == index)
                found.append(Spend(nonce + len(found), body.txids[index], body.head, index, moved))
        return found

    async def strange(self, account: str, nonces: Collection[int], finalised: Head) -> dict[int, Spend]:
        """Those of some finalised nonces that can be named, newest blocks first, as far as state is kept."""
        found: dict[int, Spend] = {}
        high, back = finalised.height, 1
        try:
            while high > 1 and not set(nonces) <= found.keys():
                low = max(high - back, 1)
                found |= {each.nonce: each for each in await self.between(account, low, high)}
                if await self._nonce(account, low) <= min(nonces):
                    break
                high, back = low, back * 4
        except ReadFailed:
            return found  # what cannot be named is counted all the same
        return found

    async def next_nonce(self, account: str, finalised_nonce: int, waiting: bool = True) -> int:
        """The nonce after all that is in a block, final or not; and, if asked for, what waits in the pool.

        Raises:
            ReadFailed: Nothing was learned.
        """
        what = f"the next nonce of {account}"
        told: object = (await self._node.account(account, (await self._node.heads()).best)).nonce
        if waiting:
            try:
                told = await self._node.endpoints.read(what, "system_accountNextIndex", [account])
            except ReadFailed as exc:
                if _UNKNOWN_METHOD not in exc.cause:
                    raise
        if not isinstance(told, int):
            raise ReadFailed(what, "the reply does not read")
        return max(told, finalised_nonce)

    async def unexplained(
        self, row: AccountRow, slots: Collection[str], waiting: bool = True
    ) -> Sequence[str]:
        """See `Rail.unexplained`.

        Raises:
            ReadFailed: Nothing was learned; also by a view that ends below one that was had before.
        """
        finalised = (await self._node.heads()).finalised
        if finalised.height < row.seen_at:
            raise ReadFailed(
                f"the nonce of {row.account}", f"block {finalised.height} is behind block {row.seen_at}"
            )
        nonce, own = (await self._node.account(row.account, finalised)).nonce, frozenset(slots)
        if back := row.went_back(nonce, own):
            return [back]
        final = [each for each in range(row.base, nonce) if str(each) not in own]
        named = await self.strange(row.account, final[-TOLD_SPENDS:], finalised) if final else {}
        adopted = {n for n, spend in named.items() if f"{ADOPTED}{spend.txid}" in own}
        words = [_words(row.account, each, named.get(each)) for each in final if each not in adopted]
        words += [
            f"nonce {each} of {row.account} is in no final block yet and belongs to no lane of this store"
            for each in range(nonce, await self.next_nonce(row.account, nonce, waiting))
            if str(each) not in own
        ]
        return _told(words)

    async def since(self, account: str, height: int, slots: Collection[str]) -> list[Spend]:
        """What the account sent above a height by none of `slots`.

        Raises:
            ReadFailed: Nothing was learned; also while such a transaction waits to be final.
        """
        finalised, own = (await self._node.heads()).finalised, frozenset(slots)
        nonce = await self._nonce(account, finalised.height)
        waiting = range(nonce, await self.next_nonce(account, nonce))
        if any(str(each) not in own for each in waiting):
            raise ReadFailed(f"what {account} sends", "it is not final yet")
        spends = await self.between(account, min(height, finalised.height), finalised.height)
        return [each for each in spends if str(each.nonce) not in own]


def _words(account: str, nonce: int, spend: Spend | None) -> str:
    told = f": {spend}" if spend is not None else ""
    return f"nonce {nonce} of {account} was used by no lane of this store{told}"


def _told(words: list[str]) -> list[str]:
    """The newest are named: those may concern a swap that is open."""
    if len(words) <= TOLD_SPENDS:
        return words
    return [*words[-TOLD_SPENDS:], f"and {len(words) - TOLD_SPENDS} older ones"]
