"""The nouns: a swap survives JSON, its terms are what may not change, and no repr shows signed bytes."""

import json
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner import model
from miner.amounts import Chain
from miner.model import (
    AccountRow,
    AttemptKind,
    Claim,
    LanePurpose,
    LaneState,
    Policy,
    Replacement,
    Step,
    Swap,
    SwapStatus,
)
from miner.saga import Event, State
from tests.unit.cases import (
    CANCELLED,
    CONTRACT,
    MARGINS,
    POLICY,
    a_hash,
    a_mark,
    a_payout,
    a_saga,
    a_swap,
    a_tx,
    attempts,
)

U32, U64, U128 = (st.integers(0, 2**bits - 1) for bits in (32, 64, 128))
TEXT = st.text(max_size=80)
OF_TYPE = {"int": U32, "str": TEXT, "SwapStatus": st.sampled_from(SwapStatus)}
AMOUNTS = ("source_amount", "dest_amount", "tao_amount")
SWAPS = st.builds(
    Swap,
    **{f.name: OF_TYPE[str(f.type)] for f in fields(Swap)} | dict.fromkeys(AMOUNTS, U128) | {"id": U64},
)

CHANGING = {
    "dest_tx_hash",
    "dest_tx_block",
    "dest_amount",  # the mark writes it
    "status",
    "initiated_block",  # where its block was replaced
    "timeout_block",  # validators extend it
    "fulfilled_block",
    "completed_block",
}


# swaps


@given(SWAPS)
def test_a_swap_survives_json(swap: Swap) -> None:
    assert Swap.from_json(json.loads(json.dumps(swap.to_json()))) == swap


@given(SWAPS)
def test_no_integer_of_a_swaps_json_needs_more_than_64_bits(swap: Swap) -> None:
    data = swap.to_json()
    assert {name for name in data if isinstance(data[name], str)} >= set(AMOUNTS)
    assert all(value < 2**64 for value in data.values() if isinstance(value, int))
    assert data.keys() == {f.name for f in fields(Swap)}


def test_the_status_reads_back_as_a_status() -> None:
    assert type(Swap.from_json(a_swap().to_json()).status) is SwapStatus


@pytest.mark.parametrize("name", [f.name for f in fields(Swap)])
def test_a_missing_field_is_named(name: str) -> None:
    data = a_swap().to_json()
    del data[name]
    with pytest.raises(KeyError, match=name):
        Swap.from_json(data)


@pytest.mark.parametrize(("name", "value"), [("status", "Gone"), ("dest_amount", "1.5"), ("tao_amount", "")])
def test_a_field_that_does_not_read_is_an_error(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Swap.from_json(a_swap().to_json() | {name: value})


@pytest.mark.parametrize("name", [f.name for f in fields(Swap)])
def test_the_terms_are_all_but_what_the_contract_may_change(name: str) -> None:
    swap = a_swap()
    value = getattr(swap, name)
    other: Any = SwapStatus.FULFILLED if name == "status" else value + type(value)(1)
    changed = replace(swap, **{name: other})
    assert (changed.terms() == swap.terms()) is (name in CHANGING)


def test_a_swap_is_not_changed_in_place() -> None:
    with pytest.raises(FrozenInstanceError):
        a_swap().rate = "1"  # type: ignore[misc]


# lanes

OPEN = {LaneState.SIGNED, LaneState.IN_BLOCK}


@pytest.mark.parametrize("state", LaneState)
def test_a_lane_is_closed_when_nothing_of_it_can_land_any_more(state: LaneState) -> None:
    assert state.closed is (state not in OPEN)


def test_the_newest_attempt_is_the_one_to_rebroadcast() -> None:
    assert a_payout(kinds=CANCELLED).latest.kind is AttemptKind.FILLER
    assert a_payout().latest.seq == 0


@pytest.mark.parametrize(
    ("kinds", "cancelling"),
    [
        ((), False),
        ((AttemptKind.PAYMENT,), False),
        ((AttemptKind.PAYMENT, AttemptKind.PAYMENT), False),
        ((AttemptKind.MARK,), False),
        ((AttemptKind.PAYMENT, AttemptKind.FILLER), True),
        ((AttemptKind.FILLER, AttemptKind.FILLER), True),
    ],
)
def test_a_lane_with_a_filler_is_being_cancelled(kinds: tuple[AttemptKind, ...], cancelling: bool) -> None:
    assert replace(a_payout(), attempts=attempts(*kinds)).cancelling is cancelling


def test_an_attempt_is_found_by_its_id_and_a_strangers_is_not() -> None:
    lane = a_payout(kinds=CANCELLED)
    found = lane.attempt(a_hash(2))
    assert found is not None
    assert found.seq == 1
    assert lane.attempt(a_hash(3)) is None


# secrets (law 11)

SECRET = b"\x04bearer instrument"


def test_signed_bytes_are_in_no_repr() -> None:
    tx = replace(a_tx(1), raw=SECRET)
    claim = Claim("tao:x", "5F", LanePurpose.PAYOUT, lambda _: tx, CONTRACT, 1)
    attempt = replace(attempts(AttemptKind.PAYMENT)[0], tx=tx)
    lane = replace(a_payout(), attempts=(attempt,))
    replacement = Replacement(lane.id, AttemptKind.PAYMENT, tx)
    holders = [
        tx,
        attempt,
        lane,
        claim,
        replacement,
        a_saga(State.SIGNED, payout=lane, mark=replace(a_mark(), attempts=(attempt,))),
        Step(event=Event.PAYOUT_SIGNED, claim=claim, replacement=replacement),
    ]
    for holder in holders:
        for shown in (repr(holder), str(holder), f"{holder!r:s}"):
            assert "bearer" not in shown
            assert SECRET.hex() not in shown
            assert "raw" not in shown
            assert "lambda" not in shown


def test_no_other_noun_holds_bytes() -> None:
    """A new field of raw bytes has to be hidden, and to be listed here."""
    holders = {
        f"{noun.__name__}.{f.name}"
        for noun in (getattr(model, name) for name in model.__all__)
        if hasattr(noun, "__dataclass_fields__")
        for f in fields(noun)
        if "bytes" in str(f.type).split("[")[0] or "SignedTx]" in str(f.type)
    }
    assert holders == {"SignedTx.raw", "Claim.sign"}


# policy


@pytest.mark.parametrize("chain", Chain)
def test_margins_and_depths_are_the_rails(chain: Chain) -> None:
    assert POLICY.margin_blocks(chain) == MARGINS[chain]
    assert POLICY.mark_confirmations(chain) == {Chain.TAO: 0, Chain.BTC: 2}[chain]


@pytest.mark.parametrize("chain", [None, *Chain])
def test_a_chain_without_a_rail_has_neither(chain: Chain | None) -> None:
    assert Policy().margin_blocks(chain) == 0
    assert Policy().mark_confirmations(chain) == 0


@pytest.mark.parametrize(
    ("nonce", "slots", "back"),
    [
        pytest.param(6, {"3", "4"}, False, id="all-its-lanes-have-landed"),
        pytest.param(5, {"5"}, False, id="a-lane-awaits-it"),
        pytest.param(5, {"4"}, True, id="no-lane-awaits-it"),
        pytest.param(4, {"4", "5"}, True, id="below-what-was-final"),
        pytest.param(9, set(), False, id="others-use-it-too"),
    ],
)
def test_an_account_went_back_by_its_nonce(nonce: int, slots: set[str], back: bool) -> None:
    row = AccountRow("tao:0x", "5Payer", high_water=6, base=3, seen=5)
    words = f"nonce went back: 5Payer stands at {nonce} and stood at 6" if back else ""
    assert row.went_back(nonce, slots) == words
