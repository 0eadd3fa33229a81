"""A miner's own business, over the model TAO chain: a deposit moves TAO, the rest uses a nonce."""

from __future__ import annotations

from dataclasses import dataclass, field

from miner.errors import Refused
from miner.model import Affair, AffairKind, Claim, Commitment, Head, LanePurpose, MinerStanding
from tests.simulation.model_lanes import ModelLanes
from tests.simulation.tao_rules import Remark, Transfer

LIFE_BLOCKS = 24


@dataclass
class ModelAffairs:
    """`ports.Affairs` over the model chain.

    Attributes:
        lanes: Nonce lanes.
        address: The contract's.
        told: How miners stand, where it is not the usual.
        refusals: The contract's word to each kind of call, where it refuses.
        quotes: What miners have committed.
    """

    lanes: ModelLanes
    address: str
    told: dict[str, MinerStanding] = field(default_factory=dict)
    refusals: dict[AffairKind, str] = field(default_factory=dict)
    quotes: dict[str, Commitment] = field(default_factory=dict)

    async def standing(self, miner: str, at: Head) -> MinerStanding:
        """See `Affairs`."""
        self.lanes.link.read("standing", miner)
        usual = MinerStanding(
            miner=miner, height=at.height, collateral=10**10, minimum=10**8, maximum=0, active=True,
            has_swap=False, reserved_until=0, deactivation_block=0, timeout_blocks=150, halted=False,
        )  # fmt: skip
        return self.told.get(miner, usual)

    async def committed(self, miner: str, at: Head) -> Commitment | None:
        """See `Affairs`."""
        self.lanes.link.read("committed", miner)
        return self.quotes.get(miner)

    async def try_affair(self, affair: Affair, at: Head) -> None:
        """See `Affairs`."""
        self.lanes.link.read("try_affair", affair)
        if affair.kind in self.refusals:
            raise Refused(str(affair), self.refusals[affair.kind])

    async def prepare_affair(self, affair: Affair, at: Head) -> Claim:
        """See `Affairs`."""
        await self.try_affair(affair, at)
        amount = affair.amount if affair.kind is AffairKind.DEPOSIT else 0
        call = Transfer(self.address, amount) if amount else Remark()
        return await self.lanes.prepare(
            affair.miner,
            call,
            LanePurpose.AFFAIR,
            self.address,
            amount,
            at.height + LIFE_BLOCKS,
            5_000_000,
        )
