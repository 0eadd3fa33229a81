"""What is played while daemons die: each scenario leads swaps to one end, past boundaries of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from miner.saga import State
from tests.acceptance.crashes import business, mending, plays
from tests.acceptance.crashes.troupe import Troupe
from tests.acceptance.crashes.verdict import End
from tests.devnet.terms import ChainName

BOTH = (ChainName.TAO, ChainName.BTC)
RAIL = "{rail}"
"""Stands for the rail's name in a boundary's name."""

COMPLETED = End("Completed", State.COMPLETED, payouts=1)


@dataclass(frozen=True)
class Scenario:
    """A play, the end that it has to come to, and the boundaries that it is there for.

    Attributes:
        play: Leads the troupe through it; any daemon of it may die at any time.
        end: The right end of every swap.
        boundaries: Where daemons are to die in it.
        rails: The payout chains that it is played on.
        in_commands: Whether the operator's commands die, and not the daemon.
    """

    play: Callable[[Troupe], Awaitable[None]]
    end: End
    boundaries: tuple[str, ...]
    rails: tuple[ChainName, ...] = BOTH
    in_commands: bool = False

    def on(self, rail: ChainName) -> tuple[str, ...]:
        """Its boundaries on a rail."""
        absent = ABSENT.get(rail, ())
        return tuple(name.replace(RAIL, rail.value) for name in self.boundaries if name not in absent)


PAID = (
    "store.open", "store.close", "store.bind", "store.pin", "store.acquire", "store.heartbeat",
    "store.lease_sagas", "store.account", "store.set_first_unseen_id", "store.what_changed",
    "store.doubted_until", "store.alone", "store.give_up", "store.take_requests",
    "store.ingest:discovery", "store.ingest:observation", "store.ingest:ending", "store.ingest:heads",
    "store.step:SOURCE_VERIFIED", "store.step:INVENTORY_RESERVED", "store.step:PAYOUT_SIGNED",
    "store.step:PAYOUT_INCLUDED", "store.step:MARK_SIGNED", "store.step:MARK_FULFILLED",
    "store.step:SWAP_COMPLETED",
    "store.sight:unseen", "store.sight:in_pool", "store.sight:in_block",
    "{rail}.prepare", "{rail}.sign", "{rail}.broadcast:payment",
    "contract.prepare_mark", "contract.sign", "contract.broadcast:mark",
)  # fmt: skip
ABSENT = {ChainName.TAO: ("store.sight:in_pool",)}
"""Boundaries that a rail has not: on Substrate a payout is in a block, or not seen; the pool is not asked."""
RECOVERY = ("recovery.append", "store.recovery_written")
TAO_ALONE = (ChainName.TAO,)

# fmt: off
SCENARIOS: dict[str, Scenario] = {
    "paid": Scenario(plays.paid, COMPLETED, PAID),
    "refused": Scenario(
        plays.refused,
        End("Active", State.COMPENSATED, payouts=0, recovery=("refused:wrong_amount",)),
        ("store.step:REFUSED", *RECOVERY),
    ),
    "expired": Scenario(
        plays.expired,
        End("Active", State.COMPENSATED, payouts=0, recovery=("expired_unpaid",)),
        ("store.step:EXPIRED",),
    ),
    "ended while down": Scenario(
        plays.ended_while_down,
        End("TimedOut", State.COMPENSATED, payouts=0, recovery=("slashed",)),
        ("store.step:SWAP_ENDED_UNPAID",),
    ),
    "timed out": Scenario(
        plays.timed_out,
        End("TimedOut", State.FAILED, payouts=1, recovery=("timed_out_after_payout",)),
        ("store.step:SWAP_ENDED_PAID", *RECOVERY),
    ),
    "never left": Scenario(
        plays.never_left,
        End("TimedOut", State.COMPENSATED, payouts=0, recovery=("slashed",)),
        ("store.step:SWAP_ENDED_IN_DOUBT", "store.step:CANCEL_SIGNED", "store.step:PAYOUT_WITHDRAWN",
         "{rail}.cancel", "{rail}.broadcast:filler"),
    ),
    "quarantined": Scenario(
        mending.quarantined,
        End("TimedOut", State.QUARANTINED, payouts=1, recovery=("ended_unknown_after_payout", "quarantined")),
        ("store.step:QUARANTINED",),
    ),
    "signed again": Scenario(
        plays.signed_again, COMPLETED,
        ("store.step:PAYOUT_RESIGNED", "{rail}.resign", "store.sight:expired"), TAO_ALONE,
    ),
    "marked by another": Scenario(
        plays.marked_by_another,
        End("TimedOut", State.FAILED, payouts=1,
            recovery=("fulfilled_with_another_id", "timed_out_after_payout")),
        ("store.step:HELD_FOR_OPERATOR", *RECOVERY),
    ),
    "lane taken": Scenario(
        plays.lane_taken, COMPLETED, ("store.step:PAYOUT_FREED", "store.sight:taken"),
    ),
    "imported": Scenario(
        plays.imported,
        End("Completed", State.COMPLETED, payouts=1, recovery=("imported_maybe_paid",)),
        ("store.step:IMPORTED_SENT", "store.step:PAYOUT_ADOPTED"),
    ),
    "import-sent": Scenario(
        plays.imported,
        End("Completed", State.COMPLETED, payouts=1, recovery=("imported_maybe_paid",)),
        ("store.import_sent",), in_commands=True,
    ),
    "paid by hand": Scenario(
        plays.adopted_by_hand,
        End("Completed", State.COMPLETED, payouts=1, recovery=("imported_maybe_paid",)),
        ("store.answer",),
    ),
    "adopt-payout": Scenario(
        plays.adopted_by_hand,
        End("Completed", State.COMPLETED, payouts=1, recovery=("imported_maybe_paid",)),
        ("store.ask",), in_commands=True,
    ),
    "reorganised": Scenario(plays.reorganised, COMPLETED, ("store.step:PAYOUT_REORGED",)),
    "finality broken": Scenario(
        plays.finality_broken,
        End("Completed", State.COMPLETED, payouts=1, maybe="mark_is_gone"),
        ("store.rewind", "store.set_paused"), TAO_ALONE,
    ),
    "mark lane taken": Scenario(plays.mark_lane_taken, COMPLETED, ("store.step:MARK_FAILED",)),
    "mark expired": Scenario(plays.mark_expired, COMPLETED, ("contract.resign_mark", "store.step:NOTED")),
    "mark too late": Scenario(
        plays.mark_too_late,
        End("TimedOut", State.FAILED, payouts=1, recovery=("timed_out_after_payout",)),
        ("contract.fill_mark", "contract.broadcast:filler"),
    ),
    "yielded": Scenario(plays.yielded, COMPLETED, ("store.step:RESERVATION_YIELDED",), TAO_ALONE),
    "foreign spend": Scenario(plays.foreign_spend, COMPLETED, ("store.stop_account", "store.saw_nonce")),
    "resume --account": Scenario(
        plays.foreign_spend, COMPLETED, ("store.clear_account",), in_commands=True,
    ),
    "resume --code": Scenario(plays.code_accepted, COMPLETED, ("store.repin",), in_commands=True),
    "deposit": Scenario(
        business.deposited, COMPLETED,
        ("affairs.prepare_affair", "store.begin_affair", "affairs.sign"), TAO_ALONE,
    ),
    "never posted": Scenario(business.never_posted, COMPLETED, ("store.fill_affair",), TAO_ALONE),
    "told": Scenario(
        business.told, COMPLETED,
        ("outbox.begin", "outbox.end", "outbox.route", "outbox.drop_targets", "outbox.take",
         "outbox.delivered", "outbox.failed", "outbox.prune", "messenger.send"), TAO_ALONE,
    ),
    "notify replay": Scenario(
        business.told_again, COMPLETED, ("outbox.replay",), TAO_ALONE, in_commands=True,
    ),
    "recovery resolve": Scenario(
        mending.resolved,
        End("Active", State.COMPENSATED, payouts=0,
            recovery=("refused:wrong_amount", "resolved:refused:wrong_amount")),
        ("store.log_operator",), in_commands=True,
    ),
    "without a daemon": Scenario(
        mending.without_a_daemon, COMPLETED, ("store.withdraw",), in_commands=True,
    ),
    "row and journal differ": Scenario(
        mending.differing, COMPLETED, ("store.reproject",), in_commands=True,
    ),
    "landed and gone": Scenario(
        mending.landed_and_gone,
        End("Completed", State.COMPLETED, payouts=1, recovery=("landed_payout_is_gone",)),
        ("store.reopen",), (ChainName.BTC,),
    ),
    "rebuilt": Scenario(mending.rebuilt, COMPLETED, ("store.dispel_doubt",)),
    "rebuild --from-chain": Scenario(
        mending.rebuilt, COMPLETED, ("store.begin_doubt",), in_commands=True,
    ),
    "pause": Scenario(plays.paused, COMPLETED, ("store.set_paused",), in_commands=True),
}
# fmt: on
