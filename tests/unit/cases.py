"""Builders: a swap of 1,000,000 sat at 345, its lanes and sagas. Each takes what the case is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from miner.amounts import Chain
from miner.model import (
    Attempt,
    AttemptKind,
    Ending,
    EndingKind,
    Head,
    Lane,
    LanePurpose,
    LaneState,
    Policy,
    RailPolicy,
    Saga,
    SagaKey,
    SightingKind,
    SignedTx,
    Swap,
    SwapStatus,
    TakerEffect,
)
from miner.saga import Event, State
from miner.verdict import Command, Do, Tick, decide

GENESIS = "0x" + "9e" * 32
CONTRACT = "5CiPPseXPECbkjWCa6MnjNokrgYjMqmKndv2rSnekmSK2DjL"
MINER = "5FHneW46xGXgs5mUiveU4sbTyGBzmstUspZC92UhjJM694ty"
USER = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"
MINER_BTC = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080"
USER_BTC = "bcrt1q0yy3juscd3zfavw76g4h3eqdqzda7qyf58rj4m"

TIMEOUT = 1000
"""`timeout_block` of the swap."""
NOW = 1_750_000_000_000
PAYOUT, MARK, OTHER_MARK = 11, 12, 13
"""Ids of lanes."""

MARGINS = {Chain.TAO: 9, Chain.BTC: 103}
POLICY = Policy(
    rails={
        Chain.TAO: RailPolicy(
            MARGINS[Chain.TAO],
            source_confirmations=3,
            mark_confirmations=0,
            final_confirmations=1,
            max_fee=10**6,
        ),
        Chain.BTC: RailPolicy(
            MARGINS[Chain.BTC],
            source_confirmations=3,
            mark_confirmations=2,
            final_confirmations=6,
            max_fee=50_000,
        ),
    }
)


def a_hash(number: int, chain: Chain = Chain.TAO) -> str:
    """The transaction or block hash with this number, as its chain writes it."""
    return ("0x" if chain is Chain.TAO else "") + f"{number:064x}"


def a_head(height: int) -> Head:
    """The contract chain's block at a height."""
    return Head(height, a_hash(height + 0xB10C0000))


def a_swap(**changes: Any) -> Swap:
    """BTC to TAO, Active, 1,000,000 sat at 345."""
    swap = Swap(
        id=7,
        user=USER,
        miner=MINER,
        source_chain="btc",
        dest_chain="tao",
        source_amount=1_000_000,
        dest_amount=3_450_000_000,
        tao_amount=3_450_000_000,
        user_source_address=USER_BTC,
        user_dest_address=USER,
        miner_source_address=MINER_BTC,
        miner_dest_address=MINER,
        rate="345",
        source_tx_hash=a_hash(0x50, Chain.BTC),
        source_tx_block=800,
        dest_tx_hash="",
        dest_tx_block=0,
        status=SwapStatus.ACTIVE,
        initiated_block=500,
        timeout_block=TIMEOUT,
        fulfilled_block=0,
        completed_block=0,
    )
    return replace(swap, **changes)


def fulfilled(txid: str, **changes: Any) -> Swap:
    """The swap, marked with a payout id."""
    return a_swap(
        status=SwapStatus.FULFILLED, dest_tx_hash=txid, dest_tx_block=600, fulfilled_block=602, **changes
    )


def a_tx(number: int, slot: str = "17") -> SignedTx:
    """Signed bytes whose id is that number's hash."""
    return SignedTx(a_hash(number), b"signed bytes %d" % number, 1000, 590, 654, (slot,))


def attempts(*kinds: AttemptKind) -> tuple[Attempt, ...]:
    """Attempts of these kinds, oldest first; their ids are `a_hash(1)`, `a_hash(2)` …"""
    return tuple(Attempt(n, kind, a_tx(n + 1), NOW) for n, kind in enumerate(kinds))


PAYMENT = (AttemptKind.PAYMENT,)
CANCELLED = (AttemptKind.PAYMENT, AttemptKind.FILLER)
LOCATED = frozenset(LaneState) - {LaneState.SIGNED}


def a_payout(
    state: LaneState = LaneState.SIGNED,
    *,
    kinds: tuple[AttemptKind, ...] = PAYMENT,
    sighting: SightingKind | None = None,
    taker: TakerEffect | None = None,
    txid: str | None = None,
    height: int = 600,
    checked: int = 610,
) -> Lane:
    """A payout lane on TAO; where its state says so, its newest attempt (or `txid`) is in block `height`."""
    signed = attempts(*kinds)
    located = state in LOCATED
    return Lane(
        id=PAYOUT,
        chain=f"tao:{GENESIS}",
        account=MINER,
        slot="17",
        purpose=LanePurpose.PAYOUT,
        saga_id=1,
        recipient=USER,
        amount=3_415_500_000,
        state=state,
        attempts=signed,
        txid=(txid or signed[-1].tx.txid) if located else None,
        block=a_head(height) if located else None,
        checked_height=checked,
        earliest_birth=590,
        allotted_at_ms=NOW,
        sighting=sighting,
        taker=taker,
    )


def a_mark(
    state: LaneState = LaneState.SIGNED,
    *,
    kinds: tuple[AttemptKind, ...] = (AttemptKind.MARK,),
    sighting: SightingKind | None = None,
) -> Lane:
    """A mark lane."""
    lane = a_payout(state, kinds=kinds, sighting=sighting)
    return replace(lane, id=MARK, slot="4", purpose=LanePurpose.MARK, recipient=CONTRACT, amount=0, saga_id=1)


OUR_TXID = a_hash(1)
"""Id of the payout's first attempt."""
STRANGER = a_hash(0x5742)
"""Id of a transaction that is none of ours."""


def a_saga(state: State, **changes: Any) -> Saga:
    """A saga in a state; nothing has been signed unless the case says so."""
    return replace(
        Saga(id=1, key=SagaKey(GENESIS, CONTRACT, 7), version=3, state=state, swap=a_swap(), dest=Chain.TAO),
        **changes,
    )


def a_tick(height: int = 620, **changes: Any) -> Tick:
    """A moment at which nothing is near the deadline, paused, stopped or due."""
    return replace(Tick(finalised=a_head(height), best_height=height + 2, now_ms=NOW), **changes)


def ended(kind: EndingKind, **changes: Any) -> Ending:
    """An ending on finalised evidence."""
    facts: Mapping[str, Any] = {"slash_amount": 3_450_000_000} if kind is EndingKind.TIMED_OUT else {}
    return replace(Ending(kind, 990, **facts), **changes)


@dataclass(frozen=True)
class Case:
    """What is known, and what is done.

    Attributes:
        outcome: In words.
        saga: Changes of a saga in `state`.
        tick: Changes of a quiet moment.
        do: The command.
        event: For `ENTER`.
        recovery: Cause of the recovery entry that goes with it; empty for none.
    """

    outcome: str
    state: State
    do: Do = Do.WAIT
    event: Event | None = None
    recovery: str = ""
    saga: dict[str, Any] = field(default_factory=dict)
    tick: dict[str, Any] = field(default_factory=dict)
    height: int = 620


def told(cases: list[Case]) -> pytest.MarkDecorator:
    """One test a case, named by its outcome and state."""
    return pytest.mark.parametrize("case", cases, ids=[f"{case.outcome}-{case.state}" for case in cases])


def check(case: Case) -> Command:
    """The command for the case, which is the one it tells."""
    command = decide(a_saga(case.state, **case.saga), a_tick(case.height, **case.tick), POLICY)
    cause = command.recovery.cause if command.recovery else ""
    found, wanted = (command.do, command.event, cause), (case.do, case.event, case.recovery)
    assert found == wanted, f"{case.outcome}: {found} instead of {wanted}"
    assert command.recovery is None or command.recovery.what_to_do
    return command


def due(*lanes: int) -> dict[str, Any]:
    """Changes of a moment at which these lanes are due for a broadcast."""
    return {"due": frozenset(lanes)}
