"""The contract adapter on a real chain: the project's contract, known whole, and known as in the field.

What it reads is compared with what substrate-interface reads, which shares no code with it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import asdict
from pathlib import Path

import pytest
import pytest_asyncio

from miner.chains.substrate.keys import Keyring, from_uri
from miner.chains.substrate.lanes import Lanes
from miner.chains.substrate.node import SubstrateNode
from miner.contract import Contract, load
from miner.contract.calls import CallFailed
from miner.errors import ConfigError, ReadFailed, Refused
from miner.model import (
    Ending,
    EndingKind,
    Head,
    Mark,
    SwapStatus,
)
from tests.conformance.contract_bench import TXID, Bench, WallClock
from tests.devnet import accounts, paths
from tests.devnet.contract import TAO
from tests.devnet.world import Devnet
from tests.unit import contract_reference as ref

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.keeps_sockets("the devnet's own client pools connections"),
]

MINERS = 4


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def chain_with_contract() -> AsyncIterator[Devnet]:
    async with await Devnet.start(miners=MINERS, bitcoin=False, users=4) as devnet:
        yield devnet


def metadata_file(folder: Path, whole: bool) -> Path:
    if whole:
        return paths.CONTRACT_METADATA
    path = folder / "field.json"
    path.write_text(json.dumps(ref.field_document()), encoding="utf-8")
    return path


both = pytest.mark.parametrize("bench", [True, False], ids=["whole", "field"], indirect=True)
"""With the metadata as it is, and without the messages that the contract in the field lacks."""


@pytest_asyncio.fixture(loop_scope="session")
async def bench(
    chain_with_contract: Devnet, tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Bench]:
    await chain_with_contract.reset()
    node = SubstrateNode([chain_with_contract.chain.url], WallClock())
    try:
        await node.connect()
        lanes = Lanes(node, Keyring(from_uri(f"//miner/{i}", devnet=True) for i in range(MINERS)))
        whole = getattr(request, "param", True)
        metadata = load(metadata_file(tmp_path, whole))
        contract = Contract(node, lanes, metadata, chain_with_contract.contract.address)
        yield Bench(chain_with_contract, node, lanes, contract, whole)
    finally:
        await node.close()


@both
async def test_a_contract_without_swaps(bench: Bench) -> None:
    at = await bench.head()
    info = await bench.devnet.contract.substrate.query("Contracts", "ContractInfoOf", bench.contract.address)
    assert await bench.contract.check_code(at) == info["code_hash"]
    terms = await bench.contract.terms(at)
    assert asdict(terms) == {
        "fee_divisor": 100,
        "fulfillment_timeout_blocks": 150,
        "reservation_ttl_blocks": 50,
        "halted": False,
        "code_hash": info["code_hash"],
    }
    assert bench.contract.genesis == bench.devnet.chain.genesis_hash
    assert await bench.contract.next_swap_id(at) == 1
    assert await bench.contract.swaps([0, 1, 2**64 - 1], at) == {0: None, 1: None, 2**64 - 1: None}
    assert await bench.contract.open_swaps([bench.miner], at, 0) == []
    assert await bench.contract.outcome(1, at) is None


@both
async def test_swaps_read_as_another_implementation_reads_them(bench: Bench) -> None:
    texts = {"user_dest_address": "Ü₿\U0001f600" + "x" * 100, "rate": "0", "miner_source_address": "é" * 64}
    ids = [await bench.open_swap(0, source_amount=2**128 - 1, dest_amount=0, **texts)]
    ids += [await bench.open_swap(1), await bench.open_swap(2)]
    at = await bench.head()
    read = await bench.contract.swaps(ids, at)
    for swap_id in ids:
        told, swap = await bench.devnet.contract.swap(swap_id), read[swap_id]
        assert told is not None
        assert swap is not None
        assert asdict(swap) == asdict(told)
    assert [s.id for s in await bench.contract.open_swaps([bench.hotkey(2), bench.miner], at, 0)] == [
        ids[0],
        ids[2],
    ]
    assert await bench.contract.open_swaps([bench.hotkey(3)], at, 0) == []
    assert await bench.contract.next_swap_id(at) == 4


async def test_reads_are_of_the_block_they_name(bench: Bench) -> None:
    before = await bench.head()
    swap_id = await bench.open_swap()
    assert await bench.contract.swaps([swap_id], before) == {swap_id: None}
    assert (await bench.contract.swaps([swap_id], await bench.head()))[swap_id] is not None
    with pytest.raises(ReadFailed):
        await bench.contract.swaps([swap_id], Head(5, "0x" + "12" * 32))


@both
async def test_a_swap_from_its_reservation_to_its_completion(bench: Bench) -> None:
    start = (await bench.head()).height
    swap_id = await bench.open_swap()
    at = await bench.head()
    await bench.contract.try_mark(bench.mark(swap_id), at)
    claim = await bench.contract.prepare_mark(bench.mark(swap_id))
    (lane,) = await bench.land((claim, claim.nonce_floor or 0))
    swap = (await bench.contract.swaps([swap_id], await bench.head()))[swap_id]
    assert swap is not None
    assert (swap.status, swap.dest_tx_hash, swap.dest_tx_block) == (SwapStatus.FULFILLED, TXID, 9)
    assert swap.fulfilled_block == lane.block.height if lane.block else False

    await bench.devnet.validators.extend(swap_id)
    await bench.devnet.validators.confirm(swap_id)
    end = await bench.head()
    events = await bench.events(start)
    assert [event.name for event in events] == [
        "MinerReserved", "SwapInitiated", "SwapFulfilled", "SwapTimeoutExtended", "SwapCompleted",
    ]  # fmt: skip
    assert {event.args.get("miner", bench.miner) for event in events} == {bench.miner}
    assert {event.args.get("swap_id", swap_id) for event in events} == {swap_id}
    assert events[2].args["dest_tx_hash"] == TXID
    fee = 3_450_000_000 // 100
    assert events[4].args["fee_amount"] == fee
    assert events[4].block == end
    assert await bench.contract.swaps([swap_id], end) == {swap_id: None}
    completed = Ending(EndingKind.COMPLETED, end.height, 0, fee, TXID)
    assert await bench.contract.outcome(swap_id, end) == (completed if bench.whole else None)


@both
async def test_a_swap_that_times_out(bench: Bench) -> None:
    await bench.devnet.contract.set_timeout(10)
    swap_id = await bench.open_swap()
    await bench.devnet.chain.new_block(10)
    await bench.devnet.validators.timeout(swap_id)
    end = await bench.head()
    told = {event.name: event.args for event in (await bench.contract.facts(end)).events}
    assert told["SwapTimedOut"]["slash_amount"] == 3_450_000_000
    slashed = Ending(EndingKind.TIMED_OUT, end.height, 3_450_000_000)
    assert await bench.contract.outcome(swap_id, end) == (slashed if bench.whole else None)


async def test_facts_are_the_blocks_own(bench: Bench) -> None:
    at = await bench.head()
    facts = await bench.contract.facts(at)
    parent = await bench.head_at(at.height - 1)
    assert (facts.head, facts.parent_hash) == (at, parent.hash)
    earlier = await bench.contract.facts(parent)
    assert facts.time_ms - earlier.time_ms == 12_000


async def test_every_error_of_a_mark_by_name(bench: Bench) -> None:
    swap_id = await bench.open_swap()
    at = await bench.head()
    refusals = {
        "SwapNotFound": bench.mark(99),
        "NotAssignedMiner": bench.mark(swap_id, miner=bench.hotkey(1)),
        "InvalidAmount": bench.mark(swap_id, amount=0),
        "InputEmpty": bench.mark(swap_id, txid=""),
        "InputTooLong": bench.mark(swap_id, txid="x" * 129),
    }
    for name, mark in refusals.items():
        with pytest.raises(Refused) as refused:
            await bench.contract.try_mark(mark, at)
        assert refused.value.name == name
    await bench.contract.try_mark(bench.mark(swap_id), at)
    claim = await bench.contract.prepare_mark(bench.mark(swap_id))
    await bench.land((claim, claim.nonce_floor or 0))
    with pytest.raises(Refused, match="InvalidStatus"):
        await bench.contract.try_mark(bench.mark(swap_id), await bench.head())


async def test_what_is_no_word_of_the_contract(bench: Bench) -> None:
    at = await bench.head()
    swap_id = await bench.open_swap()
    told = ref.field_document()
    ref.message(told, "mark_fulfilled")["selector"] = "0x12345678"
    unknown = Contract(bench.node, bench.lanes, ref.metadata(told), bench.contract.address)
    with pytest.raises(CallFailed, match="CALL_FAILED") as failed:
        await unknown.try_mark(bench.mark(swap_id), at)
    assert "LangError CouldNotReadInput" in str(failed.value)

    nowhere = Contract(bench.node, bench.lanes, ref.metadata(told), bench.miner)
    with pytest.raises(CallFailed, match="CALL_FAILED: pallet"):
        await nowhere.next_swap_id(at)
    with pytest.raises(ConfigError, match="is no contract"):
        await nowhere.check_code(at)
    with pytest.raises(Refused, match="no_code"):
        await nowhere.code_hash(at)


async def test_an_error_that_the_metadata_has_not(bench: Bench) -> None:
    told = ref.field_document()
    variants = ref.type_named(told, "Error")["def"]["variant"]["variants"]
    variants[:] = [each for each in variants if each["name"] != "SwapNotFound"]
    contract = Contract(bench.node, bench.lanes, ref.metadata(told), bench.contract.address)
    with pytest.raises(CallFailed, match="UNKNOWN"):
        await contract.try_mark(bench.mark(99), await bench.head())


async def test_a_miner_who_cannot_pay_for_what_its_mark_stores(bench: Bench) -> None:
    swap_id = await bench.open_swap()
    substrate = bench.devnet.contract.substrate
    call = await substrate.call(
        "Balances", "transfer_all", dest=accounts.owner().ss58_address, keep_alive=True
    )
    await substrate.include([await substrate.sign(call, bench.devnet.miners[0].hotkey)])
    with pytest.raises(CallFailed, match="CALL_FAILED: pallet"):
        await bench.contract.try_mark(bench.mark(swap_id), await bench.head())

    def name(_pallet: int, error: bytes) -> str:
        return "Contracts.StorageDepositNotEnoughFunds" if error[0] == 25 else "Contracts.Other"

    metadata = ref.metadata(ref.document())
    naming = Contract(bench.node, bench.lanes, metadata, bench.contract.address, error_name=name)
    with pytest.raises(CallFailed, match=r"INSUFFICIENT_BALANCE: .*StorageDepositNotEnoughFunds"):
        await naming.try_mark(bench.mark(swap_id), await bench.head())


async def test_why_a_mark_reverted(bench: Bench) -> None:
    swap_id = await bench.open_swap()
    await bench.contract.facts(await bench.head())
    claim = await bench.contract.prepare_mark(bench.mark(swap_id))
    nonce = claim.nonce_floor or 0
    _, second = await bench.land((claim, nonce), (claim, nonce + 1))
    (third,) = await bench.land((claim, nonce + 2))
    for lane in (second, third):
        judgement = await bench.contract.why_failed(lane, bench.mark(swap_id))
        assert (judgement.name, judgement.terminal) == ("InvalidStatus", True)
        assert (await bench.contract.locate(lane)).succeeded is False


async def test_a_mark_that_ran_out_of_gas(bench: Bench) -> None:
    swap_id = await bench.open_swap()
    await bench.contract.facts(await bench.head())
    mark = bench.mark(swap_id)
    starved = bench.node.contract_call(
        bench.contract.address,
        ref.metadata(ref.document()).call_data("mark_fulfilled", _args(mark)),
        1000,
        1000,
    )
    honest = await bench.contract.prepare_mark(mark)
    claim = await bench.lanes.prepare(
        bench.miner, starved, honest.purpose, honest.recipient, 0, None, 5_000_000
    )
    (lane,) = await bench.land((claim, claim.nonce_floor or 0))
    judgement = await bench.contract.why_failed(lane, mark)
    assert (judgement.name, judgement.terminal) == ("CALL_FAILED", False)
    again = await bench.contract.prepare_mark(mark)
    (landed,) = await bench.land((again, again.nonce_floor or 0))
    assert (await bench.contract.locate(landed)).succeeded is True


def _args(mark: Mark) -> dict[str, object]:
    return {
        "swap_id": mark.swap_id,
        "dest_tx_hash": mark.txid,
        "dest_tx_block": mark.block,
        "dest_amount": mark.amount,
    }


async def test_a_changed_setting_is_seen(bench: Bench) -> None:
    assert (await bench.contract.terms(await bench.head())).halted is False
    await bench.devnet.contract.set_halted(True)
    at = await bench.head()
    (event,) = (await bench.contract.facts(at)).events
    assert (event.name, event.args) == ("ConfigUpdated", {"key": "halted", "value": 1})
    assert (await bench.contract.terms(at)).halted is True


@both
async def test_many_open_swaps_of_one_miner(bench: Bench) -> None:
    owner = str(accounts.owner().ss58_address)
    await bench.devnet.contract.execute([(owner, "set_max_active_swaps", {"count": 12})])
    await bench.open_swaps([0] * 12, tao_amount=TAO // 100)
    at = await bench.head()
    assert list(await bench.contract.swaps(range(1, 13), at)) == list(range(1, 13))
    found = [swap.id for swap in await bench.contract.open_swaps([bench.miner], at, 0)]
    assert found == list(range(1, 13))


@both
async def test_what_reads_cost(bench: Bench) -> None:
    ids = await bench.open_swaps(range(MINERS))
    at = await bench.head()
    await bench.contract.swaps(ids, at)
    await bench.requests()

    await bench.devnet.chain.new_block(5)
    at = await bench.head()
    await bench.requests()
    for height in range(at.height - 4, at.height + 1):
        await bench.contract.facts(await bench.head_at(height))
    idle = await bench.requests()

    await bench.contract.swaps(ids, at)
    polled = await bench.requests()
    await bench.contract.terms(at)
    first_terms = await bench.requests()
    await bench.contract.terms(at)
    later_terms = await bench.requests()
    await bench.contract.try_mark(bench.mark(ids[0]), at)
    tried = await bench.requests()
    assert idle == 5
    assert polled == (1 if bench.whole else MINERS)
    assert (first_terms, later_terms) == (5, 0)
    assert tried == 1
