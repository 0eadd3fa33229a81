"""Marks: every way a dry run can end, gas, and why a mark did not take effect."""

import json
from dataclasses import replace
from typing import Any

import pytest

from miner.contract import Contract
from miner.contract.calls import CallFailed
from miner.contract.marks import GAS_CAP, classify
from miner.contract.scale import account_of
from miner.errors import InvariantBroken, ReadFailed, Refused
from miner.model import Head, Lane, LanePurpose, LaneState, Mark, SightingKind
from miner.ports import Judgement, RawBlock
from tests.unit import contract_reference as ref

AT = Head(100, "0x0100")
MARK = Mark(ref.MINER, 7, "0x" + "ab" * 32, 99, 3_450_000_000)
OK: dict[str, Any] = {"Ok": ()}


def err(name: str) -> dict[str, Any]:
    return {"Err": name}


class Bench:
    """A contract whose `mark_fulfilled` answers what the test says, by block."""

    def __init__(self, told: ref.Document | None = None, **options: Any) -> None:
        self.node = ref.ScriptedNode(told or ref.document())
        self.lanes = ref.RecordingLanes()
        self.contract = Contract(
            self.node, self.lanes, ref.metadata(self.node.told), ref.ADDRESS, mark_fee=77, **options
        )
        self.answers: dict[str, object] = {}
        self.node.handlers["mark_fulfilled"] = lambda **_: self.answers.get(self.node.at[-1], OK)
        self.node.handlers |= {
            "get_fee_divisor": lambda: 100,
            "get_fulfillment_timeout": lambda: 150,
            "get_reservation_ttl": lambda: 50,
            "get_halted": lambda: False,
        }
        self.node.blocks = {100: RawBlock(AT, "0x0099", 0, ())}

    @property
    def dry_runs(self) -> int:
        return self.node.count("mark_fulfilled")

    async def dry_run(self, answer: object) -> None:
        self.answers[AT.hash] = answer
        await self.contract.try_mark(MARK, AT)

    def call(self, index: int = -1) -> list[Any]:
        """Contract, data, ref time and proof size of a call that was given to the lanes."""
        told = self.lanes.prepared[index]["call"]
        assert isinstance(told, bytes)
        decoded: list[Any] = json.loads(told)
        return decoded


def lane(block: Head | None = AT) -> Lane:
    return Lane(
        3,
        "tao:0x45",
        ref.MINER,
        "17",
        LanePurpose.MARK,
        5,
        ref.ADDRESS,
        0,
        LaneState.REVERTED,
        (),
        block=block,
    )


# dry runs


@pytest.mark.parametrize("told", [ref.document(), ref.other_document()], ids=["project", "other"])
async def test_a_mark_that_would_be_accepted(told: ref.Document) -> None:
    bench = Bench(told)
    await bench.dry_run(OK)
    args = {"swap_id": 7, "dest_tx_hash": MARK.txid, "dest_tx_block": 99, "dest_amount": 3_450_000_000}
    assert bench.node.asked[-1] == ("mark_fulfilled", args)
    assert bench.node.origins == [account_of(ref.MINER)]


@pytest.mark.parametrize("told", [ref.document(), ref.other_document()], ids=["project", "other"])
@pytest.mark.parametrize(
    "name", ["SwapNotFound", "NotAssignedMiner", "InvalidStatus", "InvalidAmount", "InputEmpty"]
)
async def test_the_contracts_own_error_by_name(told: ref.Document, name: str) -> None:
    with pytest.raises(Refused) as refused:
        await Bench(told).dry_run(err(name))
    assert refused.value.name == name


@pytest.mark.parametrize(
    ("answer", "name", "told"),
    [
        (ref.ran(b"\x00\x01\xc8", 1), "UNKNOWN", "no variant 200"),
        (ref.ran(b"\x01\x01", 1), "CALL_FAILED", "LangError CouldNotReadInput"),
        (ref.ran(b"\x01\x07", 1), "UNKNOWN", "no variant 7"),
        (ref.ran(b"", 1), "UNKNOWN", "does not decode"),
        (ref.ran(b"\x00\x00\x00"), "UNKNOWN", "too many"),
        (ref.ran(b"\x00\x00", 1), "UNKNOWN", "reverted without an error"),
        (ref.stopped(bytes.fromhex("03070b000000")), "CALL_FAILED", "pallet 7 error 0x0b000000"),
        (ref.stopped(b"\x0a"), "CALL_FAILED", "Exhausted"),
        (ref.stopped(b"\x07\x00"), "INSUFFICIENT_BALANCE", "Token.FundsUnavailable"),
        (ref.stopped(b"\x07\x05"), "CALL_FAILED", "Token.Frozen"),
        (ref.stopped(b"\xc8"), "CALL_FAILED", "variant 200"),
    ],
)
async def test_what_is_no_word_of_the_contract_is_transient(answer: bytes, name: str, told: str) -> None:
    with pytest.raises(CallFailed) as failed:
        await Bench().dry_run(answer)
    assert failed.value.name == name
    assert told in failed.value.cause


async def test_pallet_errors_are_named_where_the_node_can() -> None:
    names = {11: "Contracts.ContractTrapped", 30: "Contracts.StorageDepositNotEnoughFunds"}
    bench = Bench(error_name=lambda pallet, error: names[error[0]])
    with pytest.raises(CallFailed, match=r"CALL_FAILED: Contracts\.ContractTrapped"):
        await bench.dry_run(ref.stopped(bytes.fromhex("03070b000000")))
    with pytest.raises(CallFailed, match="INSUFFICIENT_BALANCE"):
        await bench.dry_run(ref.stopped(bytes.fromhex("03071e000000")))


async def test_a_node_that_does_not_answer_is_no_refusal() -> None:
    with pytest.raises(ReadFailed, match="timeout"):
        await Bench().dry_run(ReadFailed("mark", "timeout"))
    with pytest.raises(ReadFailed, match="no contract result"):
        await Bench().dry_run(b"\x05")


@pytest.mark.parametrize(
    "change", [{"amount": 1 << 128}, {"block": -1}, {"miner": "bcrt1q"}, {"txid": "\ud800"}]
)
async def test_a_mark_that_cannot_be_written_is_a_bug(change: dict[str, Any]) -> None:
    mark = replace(MARK, **change)
    bench = Bench()
    with pytest.raises(InvariantBroken, match="mark of swap 7"):
        await bench.contract.try_mark(mark, AT)
    if "miner" not in change:
        await bench.dry_run(OK)
        with pytest.raises(InvariantBroken, match="mark of swap 7"):
            await bench.contract.prepare_mark(mark)


# claims


async def test_a_claim_takes_its_gas_from_the_last_dry_run() -> None:
    bench = Bench()
    bench.node.gas = (1001, 11)
    await bench.dry_run(OK)
    claim = await bench.contract.prepare_mark(MARK)
    assert bench.dry_runs == 1
    assert (claim.account, claim.recipient, claim.purpose) == (ref.MINER, ref.ADDRESS, LanePurpose.MARK)
    told = bench.lanes.prepared[-1]
    assert (told["amount"], told["die_by"], told["max_fee"]) == (0, None, 77)
    contract, data, ref_time, proof_size = bench.call()
    assert (contract, ref_time, proof_size) == (ref.ADDRESS, 1202, 14)
    assert data.startswith("2dbeeb8d")


async def test_the_most_that_any_mark_needed_is_kept() -> None:
    bench = Bench()
    for gas in ((1000, 10), (500, 20)):
        bench.node.gas = gas
        await bench.dry_run(OK)
    await bench.contract.prepare_mark(MARK)
    assert bench.call()[2:] == [1200, 24]


async def test_a_claim_without_a_dry_run_makes_one_at_the_newest_block() -> None:
    bench = Bench()
    with pytest.raises(ReadFailed, match="no block is known"):
        await bench.contract.prepare_mark(MARK)
    await bench.contract.facts(AT)
    await bench.contract.prepare_mark(MARK)
    await bench.contract.prepare_mark(MARK)
    assert (bench.dry_runs, bench.node.at) == (1, [AT.hash])


async def test_a_claim_that_the_contract_refuses_is_none() -> None:
    bench = Bench()
    await bench.contract.facts(AT)
    bench.answers[AT.hash] = err("InvalidStatus")
    with pytest.raises(Refused, match="InvalidStatus"):
        await bench.contract.prepare_mark(MARK)
    assert bench.lanes.prepared == []


async def test_other_code_is_measured_anew() -> None:
    bench = Bench()
    await bench.contract.terms(AT)
    await bench.dry_run(OK)
    bench.node.code_hash = "0x" + "cd" * 32
    await bench.contract.code_hash(AT)
    await bench.contract.terms(AT)
    await bench.contract.prepare_mark(MARK)
    assert bench.dry_runs == 2


async def test_gas_has_a_cap() -> None:
    bench = Bench()
    bench.node.gas = (10**15, 10**9)
    await bench.dry_run(OK)
    await bench.contract.prepare_mark(MARK)
    assert bench.call()[2:] == [GAS_CAP.ref_time, GAS_CAP.proof_size]


async def test_the_lanes_do_the_rest() -> None:
    bench = Bench()
    await bench.dry_run(OK)
    replacement = await bench.contract.resign_mark(lane(), MARK)
    assert (replacement.lane_id, bench.lanes.prepared[-1]["max_fee"]) == (3, 77)
    await bench.contract.fill_mark(lane())
    assert bench.lanes.prepared[-1] == {"filler": 3, "max_fee": 77}
    await bench.contract.broadcast(lane())
    assert bench.lanes.prepared[-1] == {"broadcast": 3}
    assert (await bench.contract.locate(lane())).kind is SightingKind.UNSEEN


# judgements


@pytest.mark.parametrize(
    ("failure", "judgement"),
    [
        (Refused("mark", "NotAssignedMiner"), Judgement("NotAssignedMiner", terminal=True)),
        (Refused("mark", "SwapNotFound"), Judgement("SwapNotFound", terminal=True)),
        (CallFailed("mark", "CALL_FAILED", "trapped"), Judgement("CALL_FAILED", terminal=False)),
        (CallFailed("mark", "UNKNOWN", "variant 200"), Judgement("UNKNOWN", terminal=False)),
        (CallFailed("mark", "INSUFFICIENT_BALANCE", ""), Judgement("INSUFFICIENT_BALANCE", terminal=False)),
        (ReadFailed("mark", "timeout"), Judgement("RPC_FAILURE", terminal=False)),
        (None, Judgement("CALL_FAILED", terminal=False)),
    ],
)
def test_what_a_dry_run_says_of_a_mark(failure: ReadFailed | Refused | None, judgement: Judgement) -> None:
    assert classify(failure) == judgement


async def test_a_reverted_mark_is_judged_on_its_blocks_parent() -> None:
    bench = Bench()
    bench.answers["0x0099"] = err("InvalidStatus")
    assert await bench.contract.why_failed(lane(), MARK) == Judgement("InvalidStatus", terminal=True)
    assert bench.node.at == ["0x0099"]


async def test_a_mark_that_something_in_its_own_block_stopped() -> None:
    bench = Bench()
    bench.answers[AT.hash] = err("SwapNotFound")
    assert await bench.contract.why_failed(lane(), MARK) == Judgement("SwapNotFound", terminal=True)


async def test_a_mark_that_the_contract_would_take_gets_more_gas_the_next_time() -> None:
    bench = Bench()
    assert await bench.contract.why_failed(lane(), MARK) == Judgement("CALL_FAILED", terminal=False)
    await bench.contract.prepare_mark(MARK)
    assert bench.call()[2:] == [2400, 240]


async def test_a_judgement_without_an_answer_is_transient() -> None:
    bench = Bench()
    bench.answers["0x0099"] = ReadFailed("state", "discarded")
    assert await bench.contract.why_failed(lane(), MARK) == Judgement("RPC_FAILURE", terminal=False)
    bench.node.blocks = {}
    assert await bench.contract.why_failed(lane(), MARK) == Judgement("RPC_FAILURE", terminal=False)
    assert await bench.contract.why_failed(lane(None), MARK) == Judgement("UNKNOWN", terminal=False)
