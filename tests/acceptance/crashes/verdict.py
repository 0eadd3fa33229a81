"""What became of a life: from the chains first, then from the store that is left."""

from __future__ import annotations

from dataclasses import dataclass, field

from miner.saga import State
from miner.store import SqlStore
from tests.acceptance.crashes.life import Life


@dataclass(frozen=True)
class End:
    """The right end of a swap.

    Attributes:
        status: On the contract, or how it ended there.
        state: Of the saga.
        payouts: How many transactions pay the user.
        recovery: Causes in the recovery log, each once.
        maybe: A cause that may be there besides, once: it depends on how far the swap had come.
    """

    status: str
    state: State
    payouts: int
    recovery: tuple[str, ...] = ()
    maybe: str = ""


@dataclass
class Outcome:
    """What a case showed, summed over its swaps.

    Attributes:
        failure: What went wrong, or not as it ought to; empty when all is well.
        deaths: How often it died.
        swaps: How many swaps it had.
        payouts: Transactions that paid a user.
        double_payouts: Those beyond one for a swap.
        lost_swaps: Swaps without a saga, or whose saga has not ended.
        missed: Swaps that timed out and had not to.
    """

    failure: str = ""
    deaths: int = 0
    swaps: int = 0
    payouts: int = 0
    double_payouts: int = 0
    lost_swaps: int = 0
    missed: int = 0
    complaints: list[str] = field(default_factory=list)


async def judge(life: Life, end: End) -> Outcome:
    """Compare a life that is over with the right end of its swaps."""
    found = Outcome(failure=life.failure, deaths=len(life.died), swaps=len(life.swaps))
    if life.due:
        found.complaints.append(f"it never came to {life.due[0]}")
    await _by_the_chains(life, end, found)
    if not life.failure:
        await _by_the_store(life, end, found)
        _by_the_log(life, end, found)
    if found.complaints and not found.failure:
        found.failure = "\n".join([*found.complaints, life.daemon.tail(80)])
    return found


async def _by_the_chains(life: Life, end: End, found: Outcome) -> None:
    for swap in life.swaps:
        seen = await life.stage.evidence(swap)
        found.payouts += seen.payouts
        found.double_payouts += max(seen.payouts - 1, 0)
        found.missed += seen.status == "TimedOut" and end.status != "TimedOut"
        if (seen.status, seen.payouts) != (end.status, end.payouts):
            found.complaints.append(f"swap {swap.id}: {seen} is not {end}")


async def _by_the_store(life: Life, end: End, found: Outcome) -> None:
    store = SqlStore(life.stage.store_url or life.stage.folder / "state" / "swap-miner.sqlite")
    await store.open()
    try:
        sagas = {saga.key.swap_id: saga for saga in await store.list_sagas(limit=1000)}
        for swap in life.swaps:
            saga = sagas.get(swap.id)
            found.lost_swaps += saga is None or not saga.state.ended
            if saga is None or saga.state is not end.state:
                found.complaints.append(f"saga of swap {swap.id}: {saga and saga.state} is not {end.state}")
        audits = await store.audit(limit=1000, ended=True)
        found.complaints += [f"row and journal differ: {each}" for each in audits if not each.agrees]
        found.complaints += _left_over(life)
    finally:
        await store.close()


def _left_over(life: Life) -> list[str]:
    """Inventory that is set aside for nothing, lanes that are open, entries that were not written."""
    queries = {
        "still reserved": "SELECT saga_id, state, mark_state FROM reservations "
        "WHERE state = 'reserved' OR mark_state = 'reserved'",
        "open lanes": "SELECT id, purpose, state, sighting FROM lanes WHERE closed = 0",
        "recovery not written": "SELECT id, cause FROM recovery WHERE written_at_ms IS NULL",
        "two lanes that pay": "SELECT saga_id, count(*) FROM lanes WHERE saga_id IS NOT NULL "
        "AND purpose != 'mark' AND state = 'landed' GROUP BY saga_id HAVING count(*) > 1",
        "accounts stopped": "SELECT account, stopped FROM accounts WHERE stopped != ''",
    }
    return [f"{what}: {rows}" for what, query in queries.items() if (rows := life.stage.rows(query))]


def _by_the_log(life: Life, end: End, found: Outcome) -> None:
    """Each entry that is due is in the recovery log exactly once, for each swap."""
    logged = life.stage.recovery()
    for swap in life.swaps:
        causes = sorted(entry["cause"] for entry in logged if entry["swap_id"] == swap.id)
        if causes not in (sorted(end.recovery), sorted([*end.recovery, end.maybe])):
            found.complaints.append(f"recovery log of swap {swap.id}: {causes} is not {end.recovery}")
