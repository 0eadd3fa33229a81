"""`python -m tests.browser.pictures`: the dashboard as the README shows it, on a desk and on a phone."""

from __future__ import annotations

import asyncio
from pathlib import Path

from playwright.async_api import Browser, expect

from miner.amounts import Chain
from miner.model import Discovery, Head, Ingest, Payment, RecoveryEntry, SagaPatch, Step
from miner.ops.board import Outlook
from miner.saga import Event
from tests.browser.house import Visit, chromium
from tests.conformance.ops_house import READ, Purse, Served, endpoints, server
from tests.unit.cli_world import GENESIS, swap_of
from tests.unit.config_files import ALICE, BOB

DOCS = Path(__file__).parents[2] / "docs"
FIRST, DEADLINES = 4101, (9, 34, 35, 61, 62, 63, 70, 74)
HEIGHT = 7_404_212


async def fill(served: Served) -> None:
    """Eight swaps on their way, and one that needs a person."""
    store = served.daemon
    await store.bind(GENESIS, BOB)
    watch = await store.acquire("watch")
    swaps = [
        swap_of(FIRST + index, dest_amount=1_200_000_000 + index * 731_000_000, timeout_block=HEIGHT + left)
        for index, left in enumerate(DEADLINES)
    ]
    found = tuple(Discovery(swap) for swap in swaps)
    await store.ingest(Ingest(None, (Head(HEIGHT, "0x" + "20" * 32),), found), watch)
    for index in range(1, 8):
        saga = await store.saga(FIRST + index)
        assert saga is not None
        payment = Payment(Chain.BTC, f"{index:064x}", 5, "cd" * 32, 1_000_000, "ef" * 32)
        if index == 1:
            why = RecoveryEntry("mark_refused:MinerNotActive", "it is tried again at each sweep", {})
            held = Step(event=Event.HELD_FOR_OPERATOR, patch=SagaPatch(reason=why.cause), recovery=why)
            await store.step(saga, held)
        elif index < 5:
            await store.step(saga, Step(event=Event.SOURCE_VERIFIED, patch=SagaPatch(payment=payment)))
        else:
            waits = SagaPatch(reason="too_few_confirmations")
            await store.step(saga, Step(event=Event.NOTED, payload={"waiting": waits.reason}, patch=waits))
    served.board.outlook = Outlook(endpoints, lambda: HEIGHT, {Chain.TAO: Purse()}, [(Chain.TAO, ALICE)])  # type: ignore[dict-item]
    served.board.ready(True, "")


async def shot(browser: Browser, served: Served, file: str, **context: object) -> None:
    """Wait until everything is there, then take the picture."""
    visit = await Visit.to(browser, served.url, READ, **context)
    await expect(visit.page.locator("#open tbody tr")).to_have_count(len(DEADLINES))
    await expect(visit.page.locator("#wallets li")).to_have_count(1)
    await visit.page.screenshot(path=DOCS / file)
    print(f"{DOCS.name}/{file}")


async def main() -> None:
    """Both pictures."""
    async with server(filled=False) as served, chromium() as browser:
        await fill(served)
        await shot(browser, served, "dashboard.png", viewport={"width": 1180, "height": 900})
        phone = {"width": 390, "height": 844}
        await shot(browser, served, "dashboard-phone.png", viewport=phone, color_scheme="dark")


if __name__ == "__main__":
    asyncio.run(main())
