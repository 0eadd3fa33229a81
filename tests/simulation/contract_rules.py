"""The swap contract's rules, pure: a state and a message give a state and events, or an error by name.

The validators vote as one: each of their messages here is one that has reached its quorum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from miner.model import Ending, EndingKind, Swap, SwapStatus, Terms

LONGEST_TEXT = 128
TERMS = Terms(100, 150, 50, False, "0x" + "c0" * 32)


class ContractError(Exception):
    """The contract's word, by name."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Event:
    """An event, undecoded by nobody."""

    name: str
    args: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class ContractState:
    """The contract's storage.

    Attributes:
        next_id: The id that the next swap will get.
        swaps: What has not ended.
        outcomes: How others ended.
        collateral: Rao by miner.
        inactive: Miners who may neither begin nor (where `marks_need_active`) mark a swap.
        used_sources: Source transaction ids as written.
        most_active: Open swaps a miner may have.
        marks_need_active: Whether this deployment refuses the marks of inactive miners.
    """

    next_id: int = 1
    swaps: Mapping[int, Swap] = field(default_factory=dict)
    outcomes: Mapping[int, Ending] = field(default_factory=dict)
    collateral: Mapping[str, int] = field(default_factory=dict)
    inactive: frozenset[str] = frozenset()
    used_sources: frozenset[str] = frozenset()
    most_active: int = 1
    marks_need_active: bool = False
    min_collateral: int = 1
    terms: Terms = field(default_factory=lambda: TERMS)


Result = tuple[ContractState, Event | None]


def call(state: ContractState, message: str, caller: str, args: Mapping[str, Any], height: int) -> Result:
    """The state and the event after a message at a block.

    Raises:
        ContractError: It changed nothing.
    """
    return _MESSAGES[message](state, caller, args, height)


def mark_fulfilled(state: ContractState, caller: str, args: Mapping[str, Any], height: int) -> Result:
    """The checks in the contract's order."""
    swap = _find(state, args["swap_id"])
    if swap.miner != caller:
        raise ContractError("NotAssignedMiner")
    if state.marks_need_active and caller in state.inactive:
        raise ContractError("MinerNotActive")
    if swap.status is not SwapStatus.ACTIVE:
        raise ContractError("InvalidStatus")
    if args["dest_amount"] == 0:
        raise ContractError("InvalidAmount")
    txid = args["dest_tx_hash"]
    if not txid:
        raise ContractError("InputEmpty")
    if len(txid) > LONGEST_TEXT:
        raise ContractError("InputTooLong")
    marked = replace(
        swap,
        status=SwapStatus.FULFILLED,
        dest_tx_hash=txid,
        dest_tx_block=args["dest_tx_block"],
        dest_amount=args["dest_amount"],
        fulfilled_block=height,
    )
    told = {"swap_id": swap.id, "miner": caller, "dest_tx_hash": txid}
    return _with(state, marked), Event("SwapFulfilled", told)


def _reserve(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    if state.terms.halted:
        raise ContractError("SystemHalted")
    until = height + state.terms.reservation_ttl_blocks
    return state, Event("MinerReserved", {"miner": args["miner"], "reserved_until": until})


def _initiate(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    if state.terms.halted:
        raise ContractError("SystemHalted")
    miner = args["miner"]
    if miner in state.inactive:
        raise ContractError("MinerNotActive")
    if sum(each.miner == miner for each in state.swaps.values()) >= state.most_active:
        raise ContractError("MinerHasActiveSwap")
    if args["source_tx_hash"] in state.used_sources:
        raise ContractError("DuplicateSourceTx")
    swap = Swap(
        id=state.next_id,
        dest_tx_hash="",
        dest_tx_block=0,
        status=SwapStatus.ACTIVE,
        initiated_block=height,
        timeout_block=height + state.terms.fulfillment_timeout_blocks,
        fulfilled_block=0,
        completed_block=0,
        **args,
    )
    used = state.used_sources | {swap.source_tx_hash}
    after = replace(_with(state, swap), next_id=swap.id + 1, used_sources=used)
    told = {
        "swap_id": swap.id,
        "user": swap.user,
        "miner": miner,
        "source_amount": swap.source_amount,
        "initiated_block": height,
    }
    return after, Event("SwapInitiated", told)


def _confirm(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    swap = _find(state, args["swap_id"])
    if swap.status is not SwapStatus.FULFILLED:
        raise ContractError("InvalidStatus")
    fee = swap.tao_amount // state.terms.fee_divisor
    ending = Ending(EndingKind.COMPLETED, height, 0, fee, swap.dest_tx_hash)
    told = {"swap_id": swap.id, "miner": swap.miner, "tao_amount": swap.tao_amount, "fee_amount": fee}
    return _ended(state, swap, ending, fee), Event("SwapCompleted", told)


def _time_out(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    swap = _find(state, args["swap_id"])
    if height < swap.timeout_block:
        raise ContractError("NotTimedOut")
    slash = min(swap.tao_amount, state.collateral.get(swap.miner, 0))
    ending = Ending(EndingKind.TIMED_OUT, height, slash, 0, swap.dest_tx_hash or None)
    after = _ended(state, swap, ending, slash)
    if after.collateral.get(swap.miner, 0) < state.min_collateral:
        after = replace(after, inactive=after.inactive | {swap.miner})
    told = {"swap_id": swap.id, "miner": swap.miner, "tao_amount": swap.tao_amount, "slash_amount": slash}
    return after, Event("SwapTimedOut", told)


def _extend(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    swap = _find(state, args["swap_id"])
    if swap.status is not SwapStatus.FULFILLED:
        raise ContractError("InvalidStatus")
    until = height + state.terms.fulfillment_timeout_blocks
    told = {"swap_id": swap.id, "new_timeout_block": until}
    return _with(state, replace(swap, timeout_block=until)), Event("SwapTimeoutExtended", told)


def _set_active(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    miner, active = args["miner"], args["active"]
    inactive = state.inactive - {miner} if active else state.inactive | {miner}
    return replace(state, inactive=inactive), Event("MinerActivated", {"miner": miner, "active": active})


def _set_terms(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    """One setting, as the owner's own messages set it."""
    ((key, value),) = args.items()
    told = {"key": key, "value": int(value)}
    return replace(state, terms=replace(state.terms, **args)), Event("ConfigUpdated", told)


def _set_code(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    """The chain's own: another code stands at the contract's address."""
    return replace(state, terms=replace(state.terms, code_hash=args["code_hash"])), None


def _set_dialect(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    """What this deployment does in another way than others."""
    return replace(state, **args), None


def _tamper(state: ContractState, _caller: str, args: Mapping[str, Any], height: int) -> Result:
    """No contract does this."""
    return _with(state, replace(_find(state, args["swap_id"]), **args["changes"])), None


_MESSAGES: Mapping[str, Callable[[ContractState, str, Mapping[str, Any], int], Result]] = {
    "mark_fulfilled": mark_fulfilled,
    "vote_reserve": _reserve,
    "vote_initiate": _initiate,
    "confirm_swap": _confirm,
    "timeout_swap": _time_out,
    "vote_extend_timeout": _extend,
    "set_active": _set_active,
    "set_terms": _set_terms,
    "set_code": _set_code,
    "set_dialect": _set_dialect,
    "tamper": _tamper,
}


def _find(state: ContractState, swap_id: int) -> Swap:
    try:
        return state.swaps[swap_id]
    except KeyError:
        raise ContractError("SwapNotFound") from None


def _with(state: ContractState, swap: Swap) -> ContractState:
    return replace(state, swaps={**state.swaps, swap.id: swap})


def _ended(state: ContractState, swap: Swap, ending: Ending, cost: int) -> ContractState:
    """The swap is deleted; what it cost the miner is taken from the collateral."""
    swaps = {i: s for i, s in state.swaps.items() if i != swap.id}
    left = max(state.collateral.get(swap.miner, 0) - cost, 0)
    return replace(
        state,
        swaps=swaps,
        outcomes={**state.outcomes, swap.id: ending},
        collateral={**state.collateral, swap.miner: left},
    )
