"""For each cause of a recovery entry or hold: what it means, and the command that comes next.

`recovery list` and `status` print these, so every command in them has to exist; a test holds them to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a cause.

    Attributes:
        means: What happened, for a person.
        command: The command to run next, with `{swap}` for the swap's id.
    """

    means: str
    command: str


_LOOK = "swap-miner recovery show --swap {swap}"
_ADOPT = "swap-miner adopt-payout {swap} TX"
_EVIDENCE = "swap-miner evidence {swap}"

REMEDIES: Mapping[str, Remedy] = {
    "mark_refused": Remedy(
        "the user was paid and the contract refuses the mark; clear what it names, then have it tried",
        "swap-miner retry {swap}",
    ),
    "mark_waits": Remedy(
        "the user was paid and the hotkey cannot pay for the mark; send it TAO, then have it tried",
        "swap-miner retry {swap}",
    ),
    "hotkey_began_again": Remedy(
        "the user was paid and the hotkey was emptied: no mark of it can land until its account is resumed",
        _LOOK,
    ),
    "mark_is_gone": Remedy(
        "the contract lost the mark; it is made again by itself", "swap-miner retry {swap}"
    ),
    "imported_maybe_paid": Remedy(
        "the program used before says it paid this swap, and its payout was not found yet", _ADOPT
    ),
    "fulfilled_elsewhere": Remedy("another program marked this swap; validators decide on it", _ADOPT),
    "account_spent_before": Remedy("its payout account spent what no lane explains: it may be paid", _ADOPT),
    "cannot_be_located": Remedy(
        "what it owes cannot be told from its terms, so no payout is looked for", _LOOK
    ),
    "lane_taken_ambiguously": Remedy(
        "a stranger's transaction took the payout's lane and may have paid the user", _LOOK
    ),
    "lane_missing": Remedy("the store contradicts itself: it is past signing and has no lane", _LOOK),
    "invariant_broken": Remedy("a law would have been broken; nothing is sent for it", _LOOK),
    "withdrawing_a_live_swap": Remedy("the swap had ended and is live again", _LOOK),
    "fulfilled_with_another_id": Remedy(
        "the contract holds another payout id than ours; show the validators the real one", _EVIDENCE
    ),
    "marked_payout_is_gone": Remedy(
        "the payout that was marked cannot land any more; pay by hand only after looking, then name it",
        _LOOK,
    ),
    "terms_changed": Remedy(
        "the contract tells other terms than it had; nothing is paid by the new ones", _LOOK
    ),
    "timed_out_after_payout": Remedy("the user was paid and the collateral was slashed", _EVIDENCE),
    "ended_unknown_after_payout": Remedy(
        "the user was paid and nothing says how the swap ended; look at the collateral, then close it",
        "swap-miner quarantine {swap}",
    ),
    "ended_maybe_paid": Remedy(
        "it timed out, and the program used before may have paid it: look in the wallet's history", _EVIDENCE
    ),
    "ended_by_a_replaced_block": Remedy("the block that ended it is gone: finality was violated", _EVIDENCE),
    "slashed": Remedy("it timed out unpaid and collateral was taken; nothing is left to do", _LOOK),
    "waits_for_approval": Remedy(
        "its payout is above hold_above: look at it, and let it go before the block that is told",
        "swap-miner approve {swap}",
    ),
    "expired_unapproved": Remedy("nobody approved its payout in time; it will time out", _LOOK),
    "expired_unpaid": Remedy("its deadline came too near before it could be paid; it will time out", _LOOK),
    "refused": Remedy("it must not be paid, on final evidence; it will time out", _LOOK),
    "ended_uncredited_untold": Remedy("it was paid and ended uncredited, and no entry told of it", _EVIDENCE),
    "landed_payout_is_gone": Remedy(
        "a payout that was final is on the chain no more; nothing is sent for it", _LOOK
    ),
    "row_differs_from_journal": Remedy("the store contradicts itself: its row is not its journal's", _LOOK),
    "reservation_missing": Remedy("the store contradicts itself: nothing is set aside for its payout", _LOOK),
    "quarantined": Remedy("an operator closed it", _LOOK),
    "adopted_by_operator": Remedy("an operator named its payout; it is marked by itself", _LOOK),
}
OTHERWISE = Remedy("look at everything that is known of it", _LOOK)


def remedy_of(cause: str) -> Remedy:
    """For a cause or reason, with or without what follows its colon (`mark_refused:MinerNotActive`)."""
    return REMEDIES.get(cause.partition(":")[0], OTHERWISE)


def command_for(cause: str, swap_id: int) -> str:
    """The command to run next for a swap."""
    return remedy_of(cause).command.format(swap=swap_id)
