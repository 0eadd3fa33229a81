"""A miner's own business: how it stands, dry runs by name, claims for a lane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from miner.contract.calls import UNKNOWN, CallFailed, Calls, gathered
from miner.contract.marks import GAS_CAP
from miner.contract.registry import Choice
from miner.contract.runtime import Gas
from miner.contract.scale import CodecError, account_of
from miner.errors import InvariantBroken, Refused
from miner.model import Affair, AffairKind, Claim, Commitment, Head, LanePurpose, MinerStanding
from miner.ports import CallLanes, Commitments, Substrate

MESSAGES: Final[Mapping[AffairKind, str]] = {
    AffairKind.DEPOSIT: "post_collateral",
    AffairKind.WITHDRAW: "withdraw_collateral",
    AffairKind.DEACTIVATE: "deactivate",
}
LIFE_BLOCKS: Final = 24
"""Blocks within which a call lands or is dead: its nonce stands before those of the hotkey's marks."""
READS: Final[Mapping[str, tuple[str, str, type]]] = {
    "collateral": ("get_collateral", "hotkey", int),
    "minimum": ("get_min_collateral", "", int),
    "maximum": ("get_max_collateral", "", int),
    "active": ("get_miner_active", "hotkey", bool),
    "has_swap": ("get_miner_has_active_swap", "hotkey", bool),
    "reserved_until": ("get_miner_reserved_until", "miner", int),
    "deactivation_block": ("get_miner_deactivation_block", "miner", int),
    "timeout_blocks": ("get_fulfillment_timeout", "", int),
    "votes": ("get_activation_vote_count", "miner", int),
    "votes_needed": ("get_required_votes_count", "", int),
    "halted": ("get_halted", "", bool),
}
"""Field of `MinerStanding` → message, its argument, and what it answers."""


class ContractAffairs:
    """`ports.Affairs` over one contract's messages, and over its chain's commitments.

    Args:
        calls: The contract's messages.
        substrate: The node.
        lanes: Nonce lanes of the miners' hotkeys.
        address: The contract's, SS58.
        max_fee: Most that a call's network fee may be, rao.
        commitments: Where quotes are; None where this chain's are not known.
    """

    def __init__(
        self,
        calls: Calls,
        substrate: Substrate,
        lanes: CallLanes,
        address: str,
        max_fee: int,
        commitments: Commitments | None = None,
    ) -> None:
        self._calls = calls
        self._substrate = substrate
        self._lanes = lanes
        self._address = address
        self._max_fee = max_fee
        self._commitments = commitments

    async def standing(self, miner: str, at: Head) -> MinerStanding:
        """See `Affairs.standing`; one request a field.

        Raises:
            ReadFailed: Nothing was learned.
        """
        had = {name: read for name, read in READS.items() if self._calls.has(read[0])}
        values = await gathered(self._read(*read, miner, at) for read in had.values())
        told: dict[str, Any] = dict(zip(had, values, strict=True))
        return MinerStanding(miner=miner, height=at.height, **told)

    async def _read(self, label: str, argument: str, kind: type, miner: str, at: Head) -> object:
        value = (await self._calls.ask(label, {argument: miner} if argument else {}, at.hash)).value
        if type(value) is not kind:
            raise CallFailed(label, UNKNOWN, f"{type(value).__name__} instead of {kind.__name__}")
        return value

    async def committed(self, miner: str, at: Head) -> Commitment | None:
        """See `Affairs.committed`."""
        return await self._quotes.committed(miner, at)

    async def try_affair(self, affair: Affair, at: Head) -> None:
        """See `Affairs.try_affair`."""
        await self._call(affair, at)

    async def prepare_affair(self, affair: Affair, at: Head) -> Claim:
        """See `Affairs.prepare_affair`."""
        call = await self._call(affair, at)
        return await self._lanes.prepare(
            account=affair.miner,
            call=call,
            purpose=LanePurpose.AFFAIR,
            recipient=self._address,
            amount=_value(affair),
            die_by=at.height + LIFE_BLOCKS,
            max_fee=self._max_fee,
        )

    async def _call(self, affair: Affair, at: Head) -> bytes:
        if affair.kind is AffairKind.QUOTE:
            return self._quotes.commitment_call(affair.text)
        gas = (await self._run(affair, at)).times(6, 5).capped(GAS_CAP)
        return self._substrate.contract_call(
            self._address, self._data(affair), gas.ref_time, gas.proof_size, _value(affair)
        )

    @property
    def _quotes(self) -> Commitments:
        if self._commitments is None:
            raise Refused("quotes", "no_commitments", "nothing is known of where this chain holds them")
        return self._commitments

    async def _run(self, affair: Affair, at: Head) -> Gas:
        label = MESSAGES[affair.kind]
        if not self._calls.has(label):
            raise Refused(str(affair), "no_such_message", f"the contract's metadata has no `{label}`")
        try:
            answer = await self._calls.ask(
                label, _args(affair), at.hash, account_of(affair.miner), value=_value(affair)
            )
        except CodecError as exc:
            raise InvariantBroken(f"{affair}: {exc}") from exc
        match answer.value:
            case Choice("Ok"):
                return answer.gas
            case Choice("Err", Choice(name)):
                raise Refused(str(affair), name)
            case _:
                raise CallFailed(str(affair), UNKNOWN, f"answer {answer.value!r}")

    def _data(self, affair: Affair) -> bytes:
        return self._calls.metadata.call_data(MESSAGES[affair.kind], _args(affair))


def _value(affair: Affair) -> int:
    """What the call carries to the contract, rao."""
    return affair.amount if affair.kind is AffairKind.DEPOSIT else 0


def _args(affair: Affair) -> dict[str, object]:
    match affair.kind:
        case AffairKind.WITHDRAW:
            return {"amount": affair.amount}
        case AffairKind.DEACTIVATE:
            return {"miner": affair.miner}
        case AffairKind.DEPOSIT | AffairKind.QUOTE:
            return {}
