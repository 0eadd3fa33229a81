"""Scenarios of what is set right: by a person, by a sweep, or from the chains."""

from __future__ import annotations

import json
import shutil
import sqlite3

from miner.saga import State
from tests.acceptance.crashes.life import Life
from tests.acceptance.crashes.plays import LONG_LEASE, LONGEST_ERA, SHORT_BLOCKS, SWEEP_OFTEN
from tests.acceptance.crashes.troupe import Troupe
from tests.devnet import paths
from tests.devnet.driver import Bad

REASON = ("--yes", "--reason", "it was looked at")
ASKED_AGAIN = 4
CLOCK_AHEAD_S = 3600
"""The devnet's chain runs ahead of the wall clock; the Bitcoin node's clock is put ahead of it."""


async def quarantined(troupe: Troupe) -> None:
    """Marked; the swap ended in blocks that no endpoint keeps, and nothing says how: a person closes it."""
    await troupe.devnet.contract.set_timeout(SHORT_BLOCKS)
    await troupe.begin([LONG_LEASE, *_no_outcomes(troupe)])
    await troupe.open()
    await troupe.until(lambda life: life.in_state(State.MARKED), "marked")
    await troupe.close()
    await troupe.timed_out()
    await troupe.block(4)
    await troupe.devnet.chain.set_pruning(2)
    await troupe.start()
    await troupe.until(lambda life: life.in_state(State.HELD), "held")

    async def close(life: Life) -> None:
        for swap in life.swaps:
            for _ in range(ASKED_AGAIN):  # where the daemon dies over it, nobody answers: it is asked again
                if life.states()[swap.id] is State.HELD:
                    await life.cli("quarantine", str(swap.id), *REASON)

    await troupe.each(close)
    await troupe.rest()
    await troupe.devnet.chain.set_pruning(None)


def _no_outcomes(troupe: Troupe) -> list[tuple[str, str]]:
    """The contract's metadata without the message that tells how an ended swap ended."""
    told = json.loads(paths.CONTRACT_METADATA.read_text())
    messages = told["spec"]["messages"]
    told["spec"]["messages"] = [each for each in messages if each["label"] != "get_swap_outcome"]
    file = troupe.lives[0].stage.folder / "metadata.json"
    file.write_text(json.dumps(told))
    return [(str(paths.CONTRACT_METADATA), str(file))]


async def resolved(troupe: Troupe) -> None:
    """The user paid too little; the operator has looked, and says so in the recovery log."""
    await troupe.begin()
    await troupe.open(Bad(paid_amount=999_999))
    await troupe.until(lambda life: life.at_rest(), "at rest")

    async def resolve(life: Life) -> None:
        for entry in life.stage.recovery():
            if not entry["cause"].startswith("resolved:"):
                await life.cli("recovery", "resolve", str(entry["id"]), *REASON)

    await troupe.each(resolve)
    await troupe.rest()


async def without_a_daemon(troupe: Troupe) -> None:
    """No daemon runs: a command does itself what it asks, and takes back what is left of its request."""
    await troupe.begin()
    await troupe.each(lambda life: life.cli("pause"))
    await troupe.open()
    await troupe.each(lambda life: life.stop())

    async def alone(life: Life) -> None:
        for swap in life.swaps:
            await life.cli("retry", str(swap.id), *REASON)

    await troupe.each(alone)
    await troupe.start()
    await troupe.each(lambda life: life.cli("resume"))
    await troupe.judged()
    await troupe.rest()


async def differing(troupe: Troupe) -> None:
    """Somebody has written into the store while nobody was there: rows do not follow from their journals."""
    await troupe.begin()
    await troupe.each(lambda life: life.cli("pause"))
    await troupe.open()
    await troupe.each(lambda life: life.stop())
    for life in troupe.playing:
        with sqlite3.connect(life.stage.folder / "state" / "swap-miner.sqlite") as store:
            store.execute("UPDATE sagas SET mark_retries = 7")
        store.close()
    await troupe.each(lambda life: life.cli("rebuild", "--yes"))
    await troupe.start()
    await troupe.each(lambda life: life.cli("resume"))
    await troupe.judged()
    await troupe.rest()


async def landed_and_gone(troupe: Troupe) -> None:
    """The payout counted as final, and its block is replaced all the same, by one with the same bytes."""
    node = troupe.devnet.bitcoin
    await troupe.begin([SWEEP_OFTEN])
    await troupe.open()
    landed = "SELECT count(*) FROM lanes WHERE purpose = 'payout' AND state = 'landed'"
    await troupe.until(lambda life: life.stage.rows(landed) == [(len(life.swaps),)], "landed")
    query = "SELECT min(block_height) FROM lanes WHERE purpose = 'payout'"
    lowest = min(int(life.stage.rows(query)[0][0]) for life in troupe.playing)
    await node.reorganise(await node.height() - lowest + 1)
    told = "SELECT count(*) FROM recovery WHERE cause = 'landed_payout_is_gone'"
    await troupe.until(lambda life: life.stage.rows(told) == [(len(life.swaps),)], "told", blocks=12)
    await troupe.judged()
    await troupe.rest()


async def rebuilt(troupe: Troupe) -> None:
    """The state folder is lost after the mark; the swaps and their payouts are found on the chains."""
    await troupe.begin([SWEEP_OFTEN])
    await troupe.open()
    await troupe.until(lambda life: life.in_state(State.MARKED), "marked")
    await troupe.close()
    at = (await troupe.devnet.contract.substrate.query("Timestamp", "Now")) // 1000
    await troupe.devnet.bitcoin.rpc("setmocktime", at + CLOCK_AHEAD_S)
    await troupe.block(7)
    try:
        await troupe.each(_find_again)
        await troupe.start()
        await troupe.block(2)
        await troupe.leap(LONGEST_ERA)
        await troupe.judged()
        await troupe.rest()
    finally:
        await troupe.devnet.bitcoin.rpc("setmocktime", 0)


async def _find_again(life: Life) -> None:
    shutil.rmtree(life.stage.folder / "state")
    await life.cli("rebuild", "--from-chain", "--yes", "--wait", "5")
