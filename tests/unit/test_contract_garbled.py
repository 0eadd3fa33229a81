"""Whatever bytes a node gives for a contract's answer or event: what it says, or nothing was learned."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miner.contract import Contract
from miner.errors import ReadFailed, Refused
from miner.model import Head, Mark, Swap
from miner.ports import RawBlock, RawContractEvent
from tests.spoiling import spoiled_bytes
from tests.unit import contract_reference as ref

AT = Head(100, "0x0100")
MARK = Mark(ref.MINER, 7, "0x" + "ab" * 32, 90, 1)
TOLD = ref.document()
MANY = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))


@dataclass
class SpoilingNode(ref.ScriptedNode):
    """Hands every raw reply to hypothesis before it is told."""

    data: st.DataObject | None = None
    spoilt: list[str] = field(default_factory=list)

    async def state_call(self, method: str, data: bytes, at: str) -> bytes:
        real = await super().state_call(method, data, at)
        if self.data is None or method != "ContractsApi_call":
            return real
        self.spoilt.append(method)
        return self.data.draw(spoiled_bytes(real))


def contract_over(data: st.DataObject) -> Contract:
    swaps = {7: ref.swap_data(7), 8: ref.swap_data(8)}
    node = SpoilingNode(TOLD)
    node.handlers |= {
        "get_swap": lambda swap_id: swaps.get(swap_id),
        "get_swaps": lambda ids: [swaps.get(i) for i in ids[:10]],
        "get_active_swaps": lambda miner, offset, limit: list(swaps.values())[offset : offset + limit],
        "get_next_swap_id": lambda: 9,
        "get_miner_has_active_swap": lambda hotkey: True,
        "get_fee_divisor": lambda: 100,
        "get_fulfillment_timeout": lambda: 150,
        "get_reservation_ttl": lambda: 50,
        "get_halted": lambda: False,
        "get_swap_outcome": lambda swap_id: None,
        "mark_fulfilled": lambda **_: {"Ok": ()},
    }
    node.data = data
    return Contract(node, ref.RecordingLanes(), ref.metadata(TOLD), ref.ADDRESS)


def sound(swap: Swap) -> bool:
    """Every field is of its kind; amounts and heights are whole and not below zero."""
    numbers = (swap.id, swap.source_amount, swap.dest_amount, swap.tao_amount, swap.timeout_block)
    return all(type(number) is int and number >= 0 for number in numbers)


@MANY
@given(data=st.data())
async def test_a_spoiled_swap_is_left_out_or_sound_and_the_one_asked_for(data: st.DataObject) -> None:
    try:
        answer = await contract_over(data).swaps([7, 8], AT)
    except ReadFailed:
        return
    for swap_id, swap in answer.items():
        assert swap_id in (7, 8)
        assert swap is None or (sound(swap) and swap.id == swap_id)


@MANY
@given(data=st.data())
async def test_spoiled_numbers_and_lists_teach_nothing_or_a_number(data: st.DataObject) -> None:
    contract = contract_over(data)
    reads: list[Any] = [
        lambda: contract.next_swap_id(AT),
        lambda: contract.open_swaps([ref.MINER], AT, 0),
        lambda: contract.terms(AT),
        lambda: contract.outcome(7, AT),
    ]
    try:
        told = await data.draw(st.sampled_from(reads))()
    except ReadFailed:
        return
    if isinstance(told, int):
        assert told >= 0


@MANY
@given(data=st.data())
async def test_a_spoiled_dry_run_is_refused_by_name_or_teaches_nothing(data: st.DataObject) -> None:
    with contextlib.suppress(ReadFailed, Refused):
        await contract_over(data).try_mark(MARK, AT)


@MANY
@given(data=st.data())
async def test_a_spoiled_event_is_undecodable_and_stops_nothing(data: st.DataObject) -> None:
    label = data.draw(st.sampled_from([e["label"] for e in TOLD["spec"]["events"]]))
    raw = _event(label)
    spoiled = replace(raw, data=data.draw(spoiled_bytes(raw.data)))
    if data.draw(st.booleans()):
        spoiled = replace(spoiled, topics=tuple(data.draw(st.lists(st.binary(max_size=40), max_size=3))))
    node = ref.ScriptedNode(TOLD)
    node.blocks[AT.height] = RawBlock(AT, "0x0099", 1, (spoiled,))
    contract = Contract(node, ref.RecordingLanes(), ref.metadata(TOLD), ref.ADDRESS)
    facts = await contract.facts(AT)
    (event,) = facts.events
    if event.name == "Undecodable":
        assert spoiled.data.hex() in str(event.args)


def _event(label: str) -> RawContractEvent:
    """An event of this kind, with zeros for its fields."""
    spec = next(e for e in TOLD["spec"]["events"] if e["label"] == label)
    topic = bytes.fromhex(spec["signature_topic"][2:])
    return RawContractEvent(ref.ADDRESS, bytes(64), (topic,), 0)
