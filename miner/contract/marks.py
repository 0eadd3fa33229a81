"""Marks: dry runs, claims for a lane, and why one did not take effect."""

from __future__ import annotations

from miner.contract.calls import CALL_FAILED, UNKNOWN, CallFailed, Calls
from miner.contract.registry import Choice
from miner.contract.runtime import Gas
from miner.contract.scale import CodecError, account_of
from miner.contract.terms import TermsReads
from miner.errors import InvariantBroken, ReadFailed, Refused
from miner.model import Claim, Head, Lane, LanePurpose, Mark, Replacement
from miner.ports import CallLanes, Judgement, Substrate

MESSAGE = "mark_fulfilled"

RPC_FAILURE = "RPC_FAILURE"

GAS_CAP = Gas(ref_time=500_000_000_000, proof_size=5_000_000)
"""Most gas a mark is given: half a second, and what a block of a parachain may prove."""


def classify(failure: ReadFailed | Refused | None) -> Judgement:
    """What the outcome of a mark's dry run says of the mark.

    | outcome | judgement |
    |---|---|
    | `Refused` | the contract's own error by name; terminal |
    | `CallFailed` | `CALL_FAILED`, `INSUFFICIENT_BALANCE` or `UNKNOWN` |
    | another `ReadFailed` | `RPC_FAILURE` |
    | none: it would succeed | `CALL_FAILED`: what stopped the mark lay outside the contract's rules |

    Args:
        failure: What the dry run raised; None when it passed.
    """
    match failure:
        case Refused():
            return Judgement(failure.name, terminal=True)
        case CallFailed():
            return Judgement(failure.name, terminal=False)
        case ReadFailed():
            return Judgement(RPC_FAILURE, terminal=False)
        case None:
            return Judgement(CALL_FAILED, terminal=False)


class Marks:
    """`mark_fulfilled` of one contract."""

    def __init__(
        self,
        calls: Calls,
        terms: TermsReads,
        substrate: Substrate,
        lanes: CallLanes,
        address: str,
        max_fee: int,
    ) -> None:
        self._calls = calls
        self._terms = terms
        self._substrate = substrate
        self._lanes = lanes
        self._address = address
        self._max_fee = max_fee
        self._gas: dict[str, Gas] = {}
        self._newest: Head | None = None

    def note(self, head: Head) -> None:
        """Take in a head; the newest one is what gas is measured at."""
        if self._newest is None or head.height >= self._newest.height:
            self._newest = head

    async def dry_run(self, mark: Mark, at: Head) -> None:
        """See `SwapContract.try_mark`; what it needs of gas is kept for the next claim."""
        self.note(at)
        self._keep(await self._run(mark, at.hash))

    async def prepare(self, mark: Mark) -> Claim:
        """See `SwapContract.prepare_mark`."""
        return await self._lanes.prepare(
            account=mark.miner,
            call=await self._call(mark),
            purpose=LanePurpose.MARK,
            recipient=self._address,
            amount=0,
            die_by=None,
            max_fee=self._max_fee,
        )

    async def resign(self, lane: Lane, mark: Mark) -> Replacement:
        """See `SwapContract.resign_mark`."""
        return await self._lanes.resign(lane, await self._call(mark), None, self._max_fee)

    async def fill(self, lane: Lane) -> Replacement:
        """See `SwapContract.fill_mark`."""
        return await self._lanes.filler(lane, self._max_fee)

    async def why_failed(self, lane: Lane, mark: Mark) -> Judgement:
        """See `SwapContract.why_failed`.

        The parent's state lacks what stood before the mark in its own block, so where the mark passes there
        it is run on the block itself as well.
        """
        if lane.block is None:
            return Judgement(UNKNOWN, terminal=False)
        try:
            parent = (await self._substrate.raw_block(lane.block)).parent_hash
            gas = await self._run(mark, parent)
            self._keep(gas.times(2, 1))  # the contract takes it: more gas next time, in case it ran out
            await self._run(mark, lane.block.hash)
        except (ReadFailed, Refused) as failure:
            return classify(failure)
        return classify(None)

    async def _call(self, mark: Mark) -> bytes:
        gas = self._gas.get(self._terms.kept_code_hash)
        if gas is None:
            gas = await self._measured(mark)
        limit = gas.times(6, 5).capped(GAS_CAP)
        data = self._data(mark)
        return self._substrate.contract_call(self._address, data, limit.ref_time, limit.proof_size)

    async def _measured(self, mark: Mark) -> Gas:
        if self._newest is None:
            raise ReadFailed(f"gas of the mark of swap {mark.swap_id}", "no block is known yet")
        gas = await self._run(mark, self._newest.hash)
        self._keep(gas)
        return gas

    def _keep(self, gas: Gas) -> None:
        """Keep the most that was needed, for this code only."""
        code = self._terms.kept_code_hash
        self._gas = {code: self._gas[code].union(gas) if code in self._gas else gas}

    async def _run(self, mark: Mark, at: str) -> Gas:
        try:
            answer = await self._calls.ask(MESSAGE, _args(mark), at, account_of(mark.miner))
        except CodecError as exc:
            raise InvariantBroken(f"mark of swap {mark.swap_id}: {exc}") from exc
        match answer.value:
            case Choice("Ok"):
                return answer.gas
            case Choice("Err", Choice(name)):
                raise Refused(f"mark of swap {mark.swap_id}", name)
            case _:
                raise CallFailed(f"mark of swap {mark.swap_id}", UNKNOWN, f"answer {answer.value!r}")

    def _data(self, mark: Mark) -> bytes:
        try:
            return self._calls.metadata.call_data(MESSAGE, _args(mark))
        except CodecError as exc:
            raise InvariantBroken(f"mark of swap {mark.swap_id}: {exc}") from exc


def _args(mark: Mark) -> dict[str, object]:
    return {
        "swap_id": mark.swap_id,
        "dest_tx_hash": mark.txid,
        "dest_tx_block": mark.block,
        "dest_amount": mark.amount,
    }
