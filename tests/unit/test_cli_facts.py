"""Sagas as plain facts: whole, exact, and without a byte that was signed."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from miner.amounts import Chain
from miner.cli import facts, render
from miner.cli.exits import printable
from miner.model import (
    Attempt,
    AttemptKind,
    Ending,
    EndingKind,
    Head,
    JournalEntry,
    Json,
    Lane,
    LanePurpose,
    LaneState,
    Payment,
    Saga,
    SagaKey,
)
from miner.saga import Event, State
from tests.unit.cli_world import CANARY, GENESIS, TAO, signed, swap_of
from tests.unit.config_files import ALICE, BOB

LANE = Lane(
    id=1,
    chain=TAO,
    account=ALICE,
    slot="17",
    purpose=LanePurpose.PAYOUT,
    saga_id=1,
    recipient=BOB,
    amount=2**60,
    state=LaneState.LANDED,
    attempts=(Attempt(0, AttemptKind.PAYMENT, signed("17"), 1_700_000_000_000),),
    txid="0x" + "77" * 32,
    block=Head(25, "0x" + "25" * 32),
)
SAGA = Saga(
    id=1,
    key=SagaKey(GENESIS, BOB, 7),
    version=9,
    state=State.COMPLETED,
    swap=swap_of(7),
    dest=Chain.TAO,
    ending=Ending(EndingKind.COMPLETED, 40, fee_amount=34_500_000, dest_tx_hash="0x" + "77" * 32),
    payment=Payment(Chain.BTC, "ab" * 32, 5, "cd" * 32, 1_000_000, "ef" * 32),
    payout=LANE,
    mark=replace(LANE, purpose=LanePurpose.MARK, recipient=BOB, amount=0),
    updated_at_ms=1_700_000_000_000,
)


def entry(event: Event, **payload: Json) -> JournalEntry:
    return JournalEntry(1, 1, 1_700_000_000_000, "daemon:x", 1, event, State.HELD, State.PAID, payload)


def test_the_evidence_of_a_swap_that_went_well() -> None:
    found = facts.evidence(SAGA, [entry(Event.SWAP_COMPLETED)])
    assert found["payout"]["txid"] == "0x" + "77" * 32
    assert found["payout"]["block"] == {"height": 25, "hash": "0x" + "25" * 32}
    assert found["payout"]["amount"] == str(2**60)
    assert found["payout"]["in_a_block"] is True
    assert found["mark"]["state"] == "landed"
    assert found["outcome"]["kind"] == "completed"
    assert found["outcome"]["fee_amount"] == "34500000"
    assert found["as_of"] == "2023-11-14T22:13:20+00:00"
    told = json.dumps(found) + json.dumps(facts.whole(SAGA, []))
    assert CANARY.hex() not in told
    assert "canary" not in told


def test_the_story_of_a_swap_that_went_well() -> None:
    lines = render.timeline(facts.whole(SAGA, [entry(Event.NOTED, why="looked", swap={"x": 1})]))
    assert "  ended: completed at block 40" in lines
    assert f"    0x{'77' * 32} in block 25 (0x{'25' * 32})" in lines
    assert "       why: looked" in lines
    assert not [line for line in lines if '{"x": 1}' in line]


def test_an_adopted_payout_is_evidence_too() -> None:
    journal = [entry(Event.NOTED), entry(Event.PAYOUT_ADOPTED, txid="0xaa", amount=2**60)]
    found = facts.evidence(replace(SAGA, payout=None, mark=None), journal)
    assert found["payout"] == {"adopted": True, "txid": "0xaa", "amount": str(2**60)}
    assert found["mark"] is None
    assert facts.evidence(replace(SAGA, payout=None), [])["payout"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (2**53, str(2**53)),
        (-(2**53), str(-(2**53))),
        (2**53 - 1, 2**53 - 1),
        (True, True),
        (None, None),
        (b"canary", facts.HIDDEN),
        ({"raw": "canary", "raw_hex": ["canary"]}, {"raw": facts.HIDDEN, "raw_hex": facts.HIDDEN}),
        ({"x": [b"canary"]}, {"x": [facts.HIDDEN]}),
        ("0x" + "ab" * 100, facts.HIDDEN),
        ("0x" + "ab" * 32, "0x" + "ab" * 32),
        (("a", 1), ["a", 1]),
        (State.HELD, "HELD"),
        (1.5, "1.5"),
    ],
)
def test_plain_values(value: object, expected: object) -> None:
    assert facts.plain(value) == expected


def test_strangers_words_cannot_steer_the_terminal() -> None:
    assert printable("a\x1b[2J\n\u202eb\u009bc") == "a�[2J��b�c"


def test_an_unknown_chain_is_told_as_it_is() -> None:
    assert render.amount("17", "doge") == "17 (doge)"
    assert render.short("0x" + "ab" * 32) == "0xababab…abab"
    assert render.short("short") == "short"
