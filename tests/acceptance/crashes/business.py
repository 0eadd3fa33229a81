"""Scenarios of what is no swap: a miner's own business, and what people are told."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from aiohttp import web

from tests.acceptance.crashes.life import PATIENCE_S, Life
from tests.acceptance.crashes.plays import LONG_LEASE, LONGEST_ERA, SWEEP_OFTEN
from tests.acceptance.crashes.troupe import Troupe
from tests.devnet import accounts
from tests.devnet.contract import TAO
from tests.devnet.faults import Fault, FaultKind
from tests.unit.receivers import serving

DEPOSIT = "1 TAO"
POST_COLLATERAL = "31b3f423"
"""The message's selector, as it stands in an extrinsic."""
ASKED_AGAIN = 5
"""A request that a dead daemon left is not carried out by the next one: the operator gives it again, once it
is seen that it came to nothing."""

AT_ONCE = 4
"""Lives that ask for business of their own."""
FAILS_FIRST = 2
"""Messages of each life that its receiver refuses at first."""
LOW, ENOUGH = "10050 TAO", 2_000 * TAO
"""More than a miner has at first; what it then gets makes it a tenth more than that, which is told."""
TARGET = """[[notify]]
name = "people"
kind = "webhook"
url = "{url}/LIFE"
secret_file = "hook-key"
least_severity = "info"
allow_loopback = true
timeout_s = 2
"""
What = tuple[object, str, str]
"""What a message says: a swap's id or another subject, the event, the phase."""
SWAP_EVENTS = ("swap_assigned", "swap_paid", "swap_fulfilled", "swap_completed")


# a miner's own business


async def deposited(troupe: Troupe) -> None:
    """Collateral is posted once, however often its daemon died over that and it was asked for again."""
    await troupe.begin([LONG_LEASE])
    before = await _collateral(troupe)
    await troupe.open()
    for _ in range(ASKED_AGAIN):
        now = await _collateral(troupe)
        left = frozenset(index for index in now if now[index] == before[index])
        await _in_turn(troupe, partial(_deposit, whose=left))
        await troupe.block(3)
    await _has_changed_by(troupe, before, TAO)
    await troupe.judged()  # which takes the contract's fee out of the collateral
    await troupe.rest()


async def never_posted(troupe: Troupe) -> None:
    """No node takes the deposit until its bytes are dead: nothing is posted, and its nonce is used up."""
    await troupe.begin([LONG_LEASE])
    await troupe.open()
    await troupe.judged()
    before = await _collateral(troupe)
    chain = troupe.devnet.chain
    refusal = Fault(
        "author_submitExtrinsic", FaultKind.REFUSE, match=POST_COLLATERAL, code=1016, message="Full"
    )
    await chain.fault(refusal)
    for _ in range(ASKED_AGAIN):
        await _in_turn(troupe, _has_signed)
    await troupe.leap(LONGEST_ERA + 1)
    await chain.clear_faults()
    await troupe.rest()
    await _has_changed_by(troupe, before, 0)


async def _in_turn(troupe: Troupe, work: Callable[[Life], Awaitable[None]]) -> None:
    """A few lives at a time: the devnet's node dry-runs one call after the other, for all of them."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def alone(life: Life) -> None:
        async with turn:
            await work(life)

    await troupe.each(alone)


async def _deposit(life: Life, whose: Collection[int]) -> None:
    for index in sorted(set(whose) & set(life.miners)):
        await life.cli("collateral", "deposit", DEPOSIT, "--miner", f"miner-{index}", "--yes", may_fail=True)


async def _has_signed(life: Life) -> None:
    """Ask for the deposits until each has a lane."""
    ((lanes,),) = life.stage.rows("SELECT count(*) FROM lanes WHERE purpose = 'affair'")
    if int(lanes) < len(life.miners):
        await _deposit(life, life.miners)


async def _collateral(troupe: Troupe) -> dict[int, int]:
    """What each miner has posted, by its index."""
    contract, miners = troupe.devnet.contract, troupe.devnet.miners
    indexes = [index for life in troupe.lives for index in life.miners]
    return {index: await contract.collateral(str(miners[index].hotkey.ss58_address)) for index in indexes}


async def _has_changed_by(troupe: Troupe, before: dict[int, int], amount: int) -> None:
    now = await _collateral(troupe)

    async def holds(life: Life) -> None:
        changed = [now[index] - before[index] for index in life.miners]
        assert changed == [amount] * len(changed), f"collateral changed by {changed}: {life.said}"

    await troupe.each(holds)


# what people are told


@dataclass
class Telephone:
    """What came in for each life, by its number; the first few messages of each are refused.

    Attributes:
        url: Where it listens.
        gone: Whether there is no such receiver any more, for good.
        refused: How many each life was refused.
        told: Ids of messages by what they say: swap, event and phase.
    """

    url: str = ""
    gone: bool = False
    refused: Counter[str] = field(default_factory=Counter)
    told: dict[str, dict[What, set[str]]] = field(default_factory=dict)

    async def ring(self, request: web.Request) -> web.Response:
        """One message."""
        life, body = request.match_info["life"], json.loads(await request.read())
        if self.gone:
            return web.Response(status=410)
        if self.refused[life] < FAILS_FIRST:
            self.refused[life] += 1
            return web.Response(status=503)
        what = (body["swap_id"] or body["subject"], body["event"], body["phase"])
        self.told.setdefault(life, {}).setdefault(what, set()).add(body["id"])
        return web.Response(status=204)

    def lacks(self, life: Life, number: int) -> set[What]:
        """What was not told of a life's swaps and balances."""
        low = [("low_balance", "raised"), ("low_balance", "cleared")]
        due: set[What] = {(swap.id, event, "told") for swap in life.swaps for event in SWAP_EVENTS}
        due |= {(swap.swap.miner, event, phase) for swap in life.swaps for event, phase in low}
        return due - self.told.get(str(number), {}).keys()

    def doubled(self, number: int) -> dict[What, set[str]]:
        """What was told under more than one id."""
        return {what: ids for what, ids in self.told.get(str(number), {}).items() if len(ids) > 1}


@asynccontextmanager
async def telephone() -> AsyncIterator[Telephone]:
    """A receiver on loopback while the body runs."""
    phone = Telephone()
    app = web.Application()
    app.router.add_post("/{life}", phone.ring)
    async with serving(app) as phone.url:
        yield phone


async def told(troupe: Troupe) -> None:
    """Each life of a swap, and a low balance, is told under one id, by a receiver that refuses at first."""
    async with telephone() as phone:
        await _listened_to(troupe, phone)
        await _paid_and_refilled(troupe)
        await _until_told(troupe, phone)
        await troupe.rest()


async def told_again(troupe: Troupe) -> None:
    """The receiver is gone, so that every message is given up; it comes back, and all are sent again."""
    async with telephone() as phone:
        phone.gone = True
        await _listened_to(troupe, phone)
        await _paid_and_refilled(troupe)
        await _until(troupe, _all_given_up, "given up")
        phone.gone = False
        await troupe.each(lambda life: life.cli("notify", "replay"))
        await _until_told(troupe, phone)
        await troupe.rest()


async def _listened_to(troupe: Troupe, phone: Telephone) -> None:
    """Every daemon runs, and tells the receiver under its own number."""
    low = ("[limits.tao]\n", f'[limits.tao]\nlow_balance = "{LOW}"\n')
    await troupe.prepare([SWEEP_OFTEN, low, ("[retry]\n", f"{TARGET.format(url=phone.url)}[retry]\n")])
    for number, life in enumerate(troupe.lives):
        life.config.write_text(life.config.read_text().replace("/LIFE", f"/{number}"))
        key = life.stage.folder / "hook-key"
        key.write_text("a key of the tests", encoding="utf-8")
        key.chmod(0o600)
    await troupe.start()


async def _paid_and_refilled(troupe: Troupe) -> None:
    await troupe.open()
    await troupe.judged()
    await troupe.until(lambda life: life.at_rest(), "at rest")
    substrate, owner = troupe.devnet.contract.substrate, accounts.owner()
    nonce = await substrate.nonce(owner.ss58_address)
    signed = []
    for index, (_, swap) in enumerate(troupe.swaps):
        to = {"dest": swap.swap.miner, "value": ENOUGH}
        call = await substrate.call("Balances", "transfer_keep_alive", **to)
        signed.append(await substrate.sign(call, owner, nonce=nonce + index))
    await substrate.include(signed)
    await troupe.block(3)


def _all_given_up(life: Life, _number: int) -> bool:
    due = (len(SWAP_EVENTS) + 2) * len(life.swaps)
    ((dead,),) = life.stage.rows("SELECT count(*) FROM deliveries WHERE standing = 'dead'")
    return int(dead) >= due


async def _until_told(troupe: Troupe, phone: Telephone) -> None:
    await _until(troupe, lambda life, number: not phone.lacks(life, number), "told")

    async def once(life: Life) -> None:
        number = troupe.lives.index(life)
        assert not phone.doubled(number), f"told under several ids: {phone.doubled(number)}"

    await troupe.each(once)


async def _until(troupe: Troupe, done: Callable[[Life, int], bool], what: str) -> None:
    """Wait, without a block, through any deaths: who tells has its own pauses."""

    async def wait(life: Life) -> None:
        number = troupe.lives.index(life)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not done(life, number):
                    await life.revive()
                    await asyncio.sleep(0.5)
        except TimeoutError:
            stands = life.stage.rows(
                "SELECT kind, subject, standing, last_error FROM notices JOIN deliveries ON notice_id = id"
            )
            raise AssertionError(f"not {what}: {stands}") from None

    await troupe.each(wait)
