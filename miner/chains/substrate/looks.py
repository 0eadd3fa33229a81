"""What became of a lane: a look at the chain that many lanes share.

Attempts are found by id in bodies, and judged by events. Only finalised evidence takes a lane away from its
purpose, and before such a verdict every body from the earliest birth on has been looked at.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from miner.chains.substrate.addresses import public_key
from miner.chains.substrate.events import Transfer
from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.scale import from_hex
from miner.chains.substrate.spine import Spine, Spines
from miner.errors import ReadFailed
from miner.model import Attempt, AttemptKind, Head, Lane, LanePurpose, Sighting, SightingKind, TakerEffect

REMEMBERED = 4096
_BAD_PROOF = bytes((1, 0, 4))
"""`Err(Invalid(BadProof))`, SCALE: signed for another runtime version, another fork, or by nobody."""
_EXTERNAL = b"\x02"
"""Where the bytes to validate come from: outside."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What this process has looked at for a lane: no attempt is in the bodies from `low` to `top`.

    Attributes:
        low: Lowest height.
        final: Finalised head of that look.
        top: Best head of that look.
    """

    low: int
    final: Head
    top: Head


@dataclass(frozen=True, slots=True)
class _Found:
    attempt: Attempt
    block: Head
    index: int


class Looks:
    """Locates lanes on one chain."""

    def __init__(self, node: SubstrateNode) -> None:
        self._node = node
        self._spines = Spines(node)
        self._looked: OrderedDict[tuple[object, ...], _Looked] = OrderedDict()
        self._doubted: OrderedDict[str, None] = OrderedDict()

    def doubt(self, txid: str) -> None:
        """A pool called these bytes a bad proof, or bans them: the next look asks the chain itself."""
        self._doubted[txid] = None
        while len(self._doubted) > REMEMBERED:
            self._doubted.popitem(last=False)

    async def locate(self, lane: Lane) -> Sighting:
        """See `Lanes.locate`."""
        spine = await self._spines.at_heads()
        try:
            return await self._locate(lane, spine)
        except ReadFailed:
            self._spines.forget()
            raise

    async def _locate(self, lane: Lane, spine: Spine) -> Sighting:
        found = await self._find(lane, spine)
        if found is not None:
            return await self._in_block(lane, found, spine)
        at = spine.heads.finalised
        if lane.purpose is LanePurpose.IMPORTED or not lane.slot.isdecimal():
            return Sighting(SightingKind.UNSEEN, at)
        nonce = (await self._node.account(lane.account, at)).nonce
        if nonce <= int(lane.slot) and lane.taken_in_doubt:
            return Sighting(SightingKind.TAKEN, at, final=True, taker=lane.taker)  # the account was emptied
        deaths = [attempt.tx.death for attempt in lane.attempts]
        dead = all(death is not None and death <= at.height for death in deaths)
        if nonce <= int(lane.slot) and not dead and not await self._void(lane, at):
            return Sighting(SightingKind.UNSEEN, at)
        found = await self._find(lane, spine, thoroughly=True)
        if found is not None:
            return await self._in_block(lane, found, spine)
        if nonce <= int(lane.slot):
            return Sighting(SightingKind.EXPIRED, at, nonce=nonce)
        return await self._taken(lane, spine)

    # our own attempts

    async def _void(self, lane: Lane, at: Head) -> bool:
        """Whether no attempt can be in any block after the finalised one, by that block's own runtime.

        Asked only where a pool doubts the newest attempt: a runtime upgrade came after it was signed.
        """
        if not lane.attempts or lane.latest.tx.txid not in self._doubted:
            return False
        living = [each.tx for each in lane.attempts if each.tx.death is None or each.tx.death > at.height]
        for tx in living:
            if tx.birth is None or tx.birth > at.height:
                return False
            told = await self._node.state_call(
                "TaggedTransactionQueue_validate_transaction", _EXTERNAL + tx.raw + from_hex(at.hash), at.hash
            )
            if told[: len(_BAD_PROOF)] != _BAD_PROOF:
                return False
        return True

    async def _find(self, lane: Lane, spine: Spine, thoroughly: bool = False) -> _Found | None:
        """An attempt in a body of this chain that was not looked at yet."""
        birth = max(lane.earliest_birth, 1)
        key = (lane.account, lane.slot, *(attempt.tx.txid for attempt in lane.attempts[:1]))
        looked = await self._still(self._looked.get(key), spine)
        if looked is None:
            looked = _stored(lane, birth, spine)
        spans = [(birth, spine.heads.best.height)]
        if looked is not None:
            below = [(birth, looked.low - 1)] if thoroughly else []
            spans = [(looked.top.height + 1, spine.heads.best.height), *below]
        for low, high in spans:
            found = await self._search(lane, spine, low, high)
            if found is not None:
                return found
        low = birth if looked is None or thoroughly else looked.low
        self._remember(key, _Looked(low, spine.heads.finalised, spine.heads.best))
        return None

    async def _still(self, looked: _Looked | None, spine: Spine) -> _Looked | None:
        """What was looked at and is on this chain still."""
        if looked is None or looked.final.height > spine.heads.finalised.height:
            return None
        if await spine.hash(looked.final.height) != looked.final.hash:
            return None
        top = looked.top
        if top.height <= spine.heads.best.height and await spine.hash(top.height) == top.hash:
            return looked
        return _Looked(looked.low, looked.final, looked.final)

    async def _search(self, lane: Lane, spine: Spine, low: int, high: int) -> _Found | None:
        """The attempt in the bodies from `high` down to `low`, where any can be."""
        deaths = [attempt.tx.death for attempt in lane.attempts]
        last = max((death - 1 for death in deaths if death is not None), default=high)
        for height in range(high if None in deaths else min(high, last), low - 1, -1):
            body = await self._node.blocks.body(await spine.hash(height))
            for attempt in lane.attempts:
                index = body.index.get(attempt.tx.txid)
                if index is not None:
                    return _Found(attempt, body.head, index)
        return None

    async def _in_block(self, lane: Lane, found: _Found, spine: Spine) -> Sighting:
        events = (await self._node.blocks.state(found.block.hash)).events
        kind = found.attempt.kind
        done = events.succeeded.get(found.index, False)
        if kind is AttemptKind.PAYMENT:
            done = self._consistent(found, done, await self._pays(lane, found.block.hash, found.index))
        return Sighting(
            SightingKind.IN_BLOCK,
            spine.heads.finalised,
            found.attempt.tx.txid,
            found.block,
            found.block.height <= spine.heads.finalised.height,
            done,
            kind,
        )

    def _consistent(self, found: _Found, succeeded: bool, paid: bool) -> bool:
        """Whether a payment paid: a transfer that succeeds moves its amount, one that fails moves nothing.

        Raises:
            ReadFailed: The events say neither; they are to be read again.
        """
        if succeeded is not paid:
            self._node.blocks.forget(found.block.hash)
            raise ReadFailed(
                f"the events of block {found.block.height}",
                f"{found.attempt.tx.txid} {'succeeded' if succeeded else 'failed'}, and they say otherwise",
            )
        return paid

    async def _pays(self, lane: Lane, block_hash: str, index: int) -> bool:
        """Whether an extrinsic moved exactly the lane's amount from its account to its recipient."""
        sender = public_key(lane.account)
        transfers = await self._transfers_to(lane, block_hash, index)
        return [(each.sender, each.amount) for each in transfers] == [(sender, lane.amount)]

    async def _transfers_to(self, lane: Lane, block_hash: str, index: int) -> list[Transfer]:
        recipient = public_key(lane.recipient)
        events = (await self._node.blocks.state(block_hash)).events
        return [each for each in events.transfers if each.extrinsic == index and each.recipient == recipient]

    def _remember(self, key: tuple[object, ...], looked: _Looked) -> None:
        self._looked[key] = looked
        self._looked.move_to_end(key)
        while len(self._looked) > REMEMBERED:
            self._looked.popitem(last=False)

    # whoever took the nonce

    async def _taken(self, lane: Lane, spine: Spine) -> Sighting:
        at = spine.heads.finalised
        block_hash = await self._block_of_nonce(lane, spine)
        taker = await self._taker(lane, block_hash)
        if taker is None:
            return Sighting(SightingKind.TAKEN, at, final=True, taker=TakerEffect.AMBIGUOUS)
        body = await self._node.blocks.body(block_hash)
        effect = await self._effect(lane, block_hash, taker)
        return Sighting(SightingKind.TAKEN, at, body.txids[taker], body.head, True, taker=effect)

    async def _block_of_nonce(self, lane: Lane, spine: Spine) -> str:
        """The finalised block in which the account's nonce passed the lane's, by halving."""
        low, high = max(lane.earliest_birth, 1), spine.heads.finalised.height
        if lane.sighting is not None and low < lane.checked_height < high:
            low = lane.checked_height  # the slot was free there
        while low + 1 < high:
            middle = (low + high) // 2
            at = Head(middle, await spine.hash(middle))
            if (await self._node.account(lane.account, at)).nonce > int(lane.slot):
                high = middle
            else:
                low = middle
        return await spine.hash(high)

    async def _taker(self, lane: Lane, block_hash: str) -> int | None:
        """Index of the extrinsic that this account signed with the lane's nonce."""
        body = await self._node.blocks.body(block_hash)
        account = public_key(lane.account)
        runtime = await self._node.blocks.runtime()
        for index, signer in enumerate(body.signers):
            if signer != account:
                continue
            decoded = runtime.decode_extrinsic(await self._node.blocks.extrinsic(block_hash, index))
            if decoded.get("nonce") == int(lane.slot):
                return index
        return None

    async def _effect(self, lane: Lane, block_hash: str, index: int) -> TakerEffect:
        """What the taker did for the recipient: exactly the payout, nothing at all, or neither."""
        if not lane.amount:  # a mark pays nobody
            return TakerEffect.PAYS_NOTHING
        if not await self._transfers_to(lane, block_hash, index):
            return TakerEffect.PAYS_NOTHING
        return TakerEffect.PAYS if await self._pays(lane, block_hash, index) else TakerEffect.AMBIGUOUS


def _stored(lane: Lane, birth: int, spine: Spine) -> _Looked | None:
    """What the stored sighting says was looked at, by an earlier process or another lane's memory."""
    checked = min(
        lane.checked_height, lane.block.height - 1 if lane.block is not None else lane.checked_height
    )
    if lane.sighting is None or not birth <= checked <= spine.heads.finalised.height:
        return None
    # lower bound above `birth`: a verdict looks at everything again
    head = Head(checked, "")
    return _Looked(checked + 1, head, head)
