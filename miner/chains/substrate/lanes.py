"""Nonce lanes: any call of any account we can sign for, from its draft to what became of it."""

from __future__ import annotations

from typing import Final

from miner.chains.substrate.drafts import Drafts
from miner.chains.substrate.keys import Keyring
from miner.chains.substrate.looks import Looks
from miner.chains.substrate.node import SubstrateNode
from miner.chains.substrate.rpc import RpcError
from miner.chains.substrate.scale import to_hex
from miner.errors import OutcomeUnknown, Refused
from miner.model import AttemptKind, Claim, Lane, LanePurpose, Replacement, Sighting

TIP_STEP: Final = 1_000
"""Rao by which a filler's tip is above the highest tip in its lane: priority grows with the tip."""
_ALREADY_IMPORTED = 1013
_POOL_WORDS: Final = {
    1010: "invalid",
    1011: "unknown_validity",
    1012: "temporarily_banned",
    1014: "priority_too_low",
}
_INVALID: Final = {
    "outdated": "stale",
    "valid in the future": "future",
    "bad signature": "bad_proof",
    "ancient birth": "ancient_birth_block",
    "inability to pay": "cannot_pay_fee",
    "exhaust": "exhausts_resources",
}
_DOUBTS = frozenset({"bad_proof", "temporarily_banned"})
"""Words that may mean: these bytes are void on this chain. What a pool drops as void it bans as well."""


class Lanes:
    """`ports.CallLanes` over one node.

    Args:
        node: The chain; connected before the first call.
        keys: Accounts that we can sign for.
    """

    def __init__(self, node: SubstrateNode, keys: Keyring) -> None:
        self.drafts = Drafts(node)
        self.keys = keys
        self._node = node
        self._looks = Looks(node)

    @property
    def chain_id(self) -> str:
        """`tao:<genesis>`; known after the node has connected."""
        return f"tao:{self._node.genesis}"

    async def prepare(
        self,
        account: str,
        call: bytes,
        purpose: LanePurpose,
        recipient: str,
        amount: int,
        die_by: int | None,
        max_fee: int,
    ) -> Claim:
        """A claim for a new lane at the finalised head.

        Raises:
            Refused: `insufficient_funds`, `fee_too_high`, `too_late`, `no_key`.
            ReadFailed: Nothing was learned.
        """
        draft = await self.drafts.draft(self.keys.key(account), call, die_by, max_fee)
        info = await self._node.account(account)
        spendable = info.spendable(await self.drafts.existential_deposit())
        if spendable < amount + draft.fee:
            raise Refused(
                account, "insufficient_funds", f"{spendable} rao of {amount} and a fee of {draft.fee}"
            )
        return Claim(self.chain_id, account, purpose, draft.sign, recipient, amount, nonce_floor=info.nonce)

    async def resign(self, lane: Lane, call: bytes, die_by: int | None, max_fee: int) -> Replacement:
        """A fresh attempt in the lane, of the same nonce.

        Raises:
            Refused: `fee_too_high`, `too_late`, `no_key`.
            ReadFailed: Nothing was learned.
        """
        draft = await self.drafts.draft(self.keys.key(lane.account), call, die_by, max_fee)
        kind = AttemptKind.MARK if lane.purpose is LanePurpose.MARK else AttemptKind.PAYMENT
        return Replacement(lane.id, kind, draft.sign(lane.slot))

    async def filler(self, lane: Lane, max_fee: int) -> Replacement:
        """A `System.remark` in the lane's nonce that outbids what may be in the pool.

        A remark is the lightest call, so a tip above every earlier one gives it the higher priority where
        the chain's pool goes by tips. Where it does not, the older bytes stay there until their era dies.

        Raises:
            Refused: `fee_too_high`, `no_key`.
            ReadFailed: Nothing was learned.
        """
        runtime = await self._node.blocks.runtime()
        tip = TIP_STEP + max(
            (int(runtime.decode_extrinsic(a.tx.raw)["tip"]) for a in lane.attempts), default=0
        )
        draft = await self.drafts.draft(self.keys.key(lane.account), runtime.remark(), None, max_fee, tip)
        return Replacement(lane.id, AttemptKind.FILLER, draft.sign(lane.slot))

    async def broadcast(self, lane: Lane) -> None:
        """Send the lane's newest attempt; that it is known already is success.

        Raises:
            NotSent: It did not leave.
            OutcomeUnknown: It may have left.
            Refused: The pool's word, a hint: `stale`, `future`, `bad_proof`, `ancient_birth_block`,
                `cannot_pay_fee`, `exhausts_resources`, `invalid`, `unknown_validity`,
                `temporarily_banned`, `priority_too_low`; or `nothing_to_send`.
        """
        what = f"lane {lane.id} ({lane.account} {lane.slot})"
        if lane.purpose is LanePurpose.IMPORTED or not lane.attempts or not lane.latest.tx.raw:
            raise Refused(what, "nothing_to_send", "its bytes are not ours")
        try:
            await self._node.endpoints.send(what, "author_submitExtrinsic", [to_hex(lane.latest.tx.raw)])
        except RpcError as exc:
            if exc.code == _ALREADY_IMPORTED:
                return
            if exc.code not in _POOL_WORDS:
                raise OutcomeUnknown(what, str(exc)) from exc
            word = pool_word(exc)
            if word in _DOUBTS:
                self._looks.doubt(lane.latest.tx.txid)
            raise Refused(what, word, str(exc)) from exc

    async def locate(self, lane: Lane) -> Sighting:
        """Look for the lane's attempts in the blocks, and for whoever took its nonce.

        The pool is not asked: what it holds proves nothing, and it is told again by `broadcast`.

        Raises:
            ReadFailed: Nothing was learned; also where the node has discarded what must be looked at.
        """
        return await self._looks.locate(lane)

    async def nonce(self, account: str) -> int:
        """The account's nonce at the finalised head.

        Raises:
            ReadFailed: It could not be read.
        """
        return (await self._node.account(account)).nonce


def pool_word(error: RpcError) -> str:
    """A short name for the pool's refusal."""
    if error.code == 1010:
        told = f"{error.message} {error.data}".lower()
        return next((name for text, name in _INVALID.items() if text in told), "invalid")
    return _POOL_WORDS[error.code]
