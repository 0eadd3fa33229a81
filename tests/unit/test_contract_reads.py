"""Reads of the contract: what they give, what they cost, and what a failure means."""

from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from miner.contract import Contract
from miner.errors import ReadFailed
from miner.model import ContractEvent, Ending, EndingKind, Head, SwapStatus
from miner.ports import RawBlock
from tests.unit import contract_reference as ref

AT = Head(100, "0x0100")

Told = dict[int, Any]


def node_of(told: ref.Document, swaps: Told, next_id: int = 100) -> ref.ScriptedNode:
    """A node whose contract holds these swaps (ids are told as the reference decodes them)."""
    node = ref.ScriptedNode(told)

    def listed(miner: str, offset: int, limit: int) -> list[Any]:
        return [s for s in swaps.values() if s["miner"] == miner][offset : offset + min(limit, 10)]

    node.handlers |= {
        "get_swap": lambda swap_id: swaps.get(swap_id),
        "get_swaps": lambda ids: [swaps.get(i) for i in ids[:10]],
        "get_active_swaps": listed,
        "get_next_swap_id": lambda: next_id,
        "get_miner_has_active_swap": lambda hotkey: any(s["miner"] == hotkey for s in swaps.values()),
        "get_fee_divisor": lambda: 100,
        "get_fulfillment_timeout": lambda: 150,
        "get_reservation_ttl": lambda: 50,
        "get_halted": lambda: False,
    }
    return node


def contract_of(node: ref.ScriptedNode) -> Contract:
    return Contract(node, ref.RecordingLanes(), ref.metadata(node.told), ref.ADDRESS)


def many(*ids: int, **changes: object) -> Told:
    return {i: ref.swap_data(i, **changes) for i in ids}


@pytest.fixture(
    params=[ref.document, ref.field_document, ref.other_document], ids=["project", "field", "other"]
)
def told(request: pytest.FixtureRequest) -> ref.Document:
    make: Callable[[], ref.Document] = request.param
    return make()


# by id


async def test_swaps_by_id(told: ref.Document) -> None:
    contract = contract_of(node_of(told, many(1, 3, 25)))
    swaps = await contract.swaps([*range(1, 26), 3], AT)
    assert list(swaps) == list(range(1, 26))
    assert [i for i, swap in swaps.items() if swap is not None] == [1, 3, 25]
    three = swaps[3]
    assert three is not None
    assert (three.id, three.miner, three.status) == (3, ref.MINER, SwapStatus.ACTIVE)


async def test_what_swaps_by_id_cost() -> None:
    node = node_of(ref.document(), many(1, 2))
    await contract_of(node).swaps(range(1, 26), AT)
    assert (node.count("get_swaps"), node.count("get_swap"), node.count("width")) == (3, 0, 1)
    node = node_of(ref.field_document(), many(1, 2))
    await contract_of(node).swaps(range(1, 26), AT)
    assert (node.count("get_swap"), len(node.asked)) == (25, 26)


async def test_no_ids_cost_nothing(told: ref.Document) -> None:
    node = node_of(told, {})
    assert await contract_of(node).swaps([], AT) == {}
    assert node.asked == []


async def test_an_answer_shorter_than_asked_for_is_completed() -> None:
    swaps = many(*range(1, 8))
    node = node_of(ref.document(), swaps)
    node.handlers["get_swaps"] = lambda ids: [swaps.get(i) for i in ids[:4]]
    assert len(await contract_of(node).swaps(range(1, 9), AT)) == 8


async def test_an_answer_longer_than_asked_for_is_not_believed() -> None:
    node = node_of(ref.document(), many(1, 2))
    node.handlers["get_swaps"] = lambda ids: [None] * (len(ids) + 1)
    swaps = await contract_of(node).swaps([1, 2, 3], AT)
    assert [i for i, swap in swaps.items() if swap] == [1, 2]


def garbled(node: ref.ScriptedNode, swap_id: int, swaps: Told) -> None:
    """Make the rate of one swap no UTF-8, whichever message tells it."""
    swaps[swap_id] = ref.swap_data(swap_id, rate="~~~")
    for label in ("get_swap", "get_swaps", "get_active_swaps"):
        answer = node.handlers[label]

        def handler(answer: ref.Handler = answer, label: str = label, **args: Any) -> object:
            return (
                node.answer(label, answer(**args)).replace(b"~~~", b"\xff~~")
                if label in known
                else answer(**args)
            )

        node.handlers[label] = handler
    known = {m["label"] for m in node.told["spec"]["messages"]}


async def test_a_swap_that_does_not_decode_is_missing_and_told(told: ref.Document) -> None:
    swaps = many(1, 2, 3)
    node = node_of(told, swaps)
    garbled(node, 2, swaps)
    with capture_logs() as logs:
        read = await contract_of(node).swaps([1, 2, 3, 4], AT)
    assert list(read) == [1, 3, 4]
    assert [(line["event"], line["swap_id"]) for line in logs] == [("swap_data_unreadable", 2)]


async def test_where_a_whole_answer_does_not_decode_each_swap_is_read_by_itself() -> None:
    node = node_of(ref.document(), many(1, 2))
    node.handlers["get_swaps"] = lambda ids: ref.ran(b"\x00\x08\x01")
    with capture_logs() as logs:
        assert len(await contract_of(node).swaps([1, 2], AT)) == 2
    assert logs[0]["event"] == "swaps_read_singly"


async def test_another_swap_than_asked_for_is_none_of_the_answers(told: ref.Document) -> None:
    node = node_of(told, many(1, 2) | {3: ref.swap_data(1)})
    assert list(await contract_of(node).swaps([1, 2, 3], AT)) == [1, 2]


async def test_a_swap_whose_read_the_chain_stopped_is_missing() -> None:
    node = node_of(ref.field_document(), many(1))
    node.handlers["get_swap"] = lambda swap_id: (
        ref.stopped(b"\x03\x07\x00\x00\x00\x00") if swap_id == 2 else None
    )
    assert list(await contract_of(node).swaps([1, 2], AT)) == [1]


async def test_a_node_that_does_not_answer_fails_the_read(told: ref.Document) -> None:
    node = node_of(told, many(1, 2))
    for label in ("get_swap", "get_swaps"):
        node.handlers[label] = lambda **_: ReadFailed("swaps", "timeout")
    with pytest.raises(ReadFailed, match="timeout"):
        await contract_of(node).swaps([1, 2], AT)


async def test_a_reply_that_is_no_contract_result_fails_the_read(told: ref.Document) -> None:
    node = node_of(told, many(1, 2))
    for label in ("get_swap", "get_swaps"):
        node.handlers[label] = lambda **_: b"\x07"
    with pytest.raises(ReadFailed, match="no contract result"):
        await contract_of(node).swaps([1, 2], AT)


@pytest.mark.parametrize("width", [8, 16])
async def test_a_chain_of_either_balance(width: int) -> None:
    node = node_of(ref.document(), many(1))
    node.width = width
    assert (await contract_of(node).swaps([1], AT))[1] is not None


async def test_a_chain_of_an_unknown_balance_is_not_read() -> None:
    node = node_of(ref.document(), many(1))
    node.width = 4
    with pytest.raises(ReadFailed, match="Balance"):
        await contract_of(node).swaps([1], AT)


async def test_reads_are_at_the_block_they_name_and_as_nobody() -> None:
    node = node_of(ref.document(), many(1))
    await contract_of(node).swaps([1], Head(5, "0x0500"))
    assert (node.at, node.origins) == (["0x0500"], [bytes(32)])


# open swaps


async def test_open_swaps_of_our_miners(told: ref.Document) -> None:
    swaps = many(2, 9) | many(5, miner=ref.OTHER) | many(7, status="Fulfilled")
    swaps |= many(8, status="TimedOut")
    contract = contract_of(node_of(told, swaps, next_id=20))
    assert [swap.id for swap in await contract.open_swaps([ref.MINER], AT, 0)] == [2, 7, 9]
    assert [swap.id for swap in await contract.open_swaps([ref.OTHER], AT, 0)] == [5]
    assert await contract.open_swaps([], AT, 0) == []


async def test_lists_of_open_swaps_are_paged() -> None:
    node = node_of(ref.document(), many(*range(1, 24)))
    assert len(await contract_of(node).open_swaps([ref.MINER, ref.OTHER], AT, 0)) == 23
    assert node.count("get_active_swaps") == 4 + 1


async def test_a_list_without_end_is_refused() -> None:
    node = node_of(ref.document(), many(1))
    node.handlers["get_active_swaps"] = lambda **_: [ref.swap_data(1)]
    with pytest.raises(ReadFailed, match="pages"):
        await contract_of(node).open_swaps([ref.MINER], AT, 0)


async def test_a_listed_swap_that_does_not_decode_is_told_and_the_others_found() -> None:
    swaps = many(1, 2)
    node = node_of(ref.document(), swaps)
    garbled(node, 1, swaps)
    with capture_logs() as logs:
        found = await contract_of(node).open_swaps([ref.MINER], AT, 0)
    assert [swap.id for swap in found] == [2]
    assert logs[0]["swap_id"] == 1


async def test_a_scan_reads_from_the_first_unknown_id() -> None:
    node = node_of(ref.field_document(), many(5, 30), next_id=31)
    assert [s.id for s in await contract_of(node).open_swaps([ref.MINER], AT, 20)] == [30]
    assert node.count("get_swap") == 11
    assert await contract_of(node).open_swaps([ref.MINER], AT, 31) == []
    assert await contract_of(node).open_swaps([ref.MINER], AT, 40) == []


async def test_a_long_scan_is_spared_where_no_miner_has_a_swap() -> None:
    node = node_of(ref.field_document(), many(5, miner=ref.OTHER), next_id=5000)
    assert await contract_of(node).open_swaps([ref.MINER], AT, 0) == []
    assert (node.count("get_swap"), node.count("get_miner_has_active_swap")) == (0, 1)


async def test_a_long_scan_ends_when_each_busy_miner_has_its_swap() -> None:
    node = node_of(ref.field_document(), many(4990), next_id=5000)
    assert [s.id for s in await contract_of(node).open_swaps([ref.MINER], AT, 0)] == [4990]
    assert node.count("get_swap") == 64


async def test_a_long_scan_goes_to_its_end_where_a_miner_may_have_more_swaps() -> None:
    told = ref.field_document()
    told["spec"]["messages"].append(ref.message(ref.document(), "get_max_active_swaps"))
    node = node_of(told, many(3, 190), next_id=200)
    assert [s.id for s in await contract_of(node).open_swaps([ref.MINER], AT, 1)] == [3, 190]


@pytest.mark.parametrize(("miner", "fails"), [(ref.MINER, True), (ref.OTHER, False)])
async def test_a_scan_is_not_complete_where_a_swap_of_ours_does_not_decode(miner: str, fails: bool) -> None:
    swaps = many(1)
    node = node_of(ref.field_document(), swaps, next_id=3)
    garbled(node, 2, swaps)
    swaps[2]["miner"] = miner
    if fails:
        with pytest.raises(ReadFailed, match="swap 2 at 100"):
            await contract_of(node).open_swaps([ref.MINER], AT, 0)
    else:
        assert [s.id for s in await contract_of(node).open_swaps([ref.MINER], AT, 0)] == [1]


async def test_a_scan_fails_where_a_swap_cannot_be_told_at_all() -> None:
    node = node_of(ref.field_document(), {}, next_id=3)
    node.handlers["get_swap"] = lambda swap_id: ref.ran(b"\x00\x01\x00")
    with pytest.raises(ReadFailed):
        await contract_of(node).open_swaps([ref.MINER], AT, 0)


# outcome, next id


async def test_the_outcome_where_the_contract_tells_it() -> None:
    node = node_of(ref.document(), {})
    outcome = {
        "status": "TimedOut",
        "ended_block": 9,
        "dest_tx_hash": "ab",
        "slash_amount": 5,
        "fee_amount": 0,
    }
    node.handlers["get_swap_outcome"] = lambda swap_id: outcome if swap_id == 1 else None
    contract = contract_of(node)
    assert await contract.outcome(1, AT) == Ending(EndingKind.TIMED_OUT, 9, 5, 0, "ab")
    assert await contract.outcome(2, AT) is None
    outcome["status"] = "Active"
    with pytest.raises(ReadFailed, match="outcome of swap 1"):
        await contract.outcome(1, AT)


async def test_the_outcome_costs_nothing_where_the_contract_cannot_tell() -> None:
    node = node_of(ref.field_document(), {})
    assert await contract_of(node).outcome(1, AT) is None
    assert node.asked == []


async def test_the_next_id(told: ref.Document) -> None:
    assert await contract_of(node_of(told, {}, next_id=2**64 - 1)).next_swap_id(AT) == 2**64 - 1


# facts


def block(height: int, *events: Any) -> RawBlock:
    return RawBlock(Head(height, f"0x{height:04x}"), f"0x{height - 1:04x}", height * 12_000, events)


async def test_a_block_without_our_events_costs_its_own_read_only(told: ref.Document) -> None:
    node = node_of(told, {})
    others = ref.raw_event(told, "MinerReserved", {"miner": ref.MINER, "reserved_until": 9}, 0, ref.OTHER)
    node.blocks = {7: block(7, others)}
    facts = await contract_of(node).facts(Head(7, "0x0007"))
    assert (facts.events, facts.parent_hash, facts.time_ms) == ((), "0x0006", 84_000)
    assert node.asked == [("raw_block", {})]


async def test_the_events_of_a_block_in_order(told: ref.Document) -> None:
    node = node_of(told, {})
    reserved = ref.raw_event(told, "MinerReserved", {"miner": ref.MINER, "reserved_until": 9}, 3)
    extended = ref.raw_event(told, "SwapTimeoutExtended", {"swap_id": 1, "new_timeout_block": 200}, 5)
    node.blocks = {7: block(7, reserved, extended)}
    head = Head(7, "0x0007")
    assert (await contract_of(node).facts(head)).events == (
        ContractEvent("MinerReserved", {"miner": ref.MINER, "reserved_until": 9}, head, 3),
        ContractEvent("SwapTimeoutExtended", {"swap_id": 1, "new_timeout_block": 200}, head, 5),
    )


async def test_a_block_that_cannot_be_read_teaches_nothing() -> None:
    with pytest.raises(ReadFailed):
        await contract_of(node_of(ref.document(), {})).facts(AT)
