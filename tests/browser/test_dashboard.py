"""The dashboard: what an operator sees, live, on any screen, by any hand; strangers' words do nothing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from miner.amounts import Chain
from miner.model import Discovery, Head, Ingest, Payment, SagaPatch, Step
from miner.ops.server import serving
from miner.saga import Event
from tests.browser.house import CHROMIUM, SOON_MS, Visit, chromium
from tests.conformance.ops_house import READ, Served, free_port, server
from tests.unit.cli_world import swap_of

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not CHROMIUM, reason="needs Chromium (Debian: chromium)"),
    pytest.mark.timeout(180),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def served() -> AsyncIterator[Served]:
    async with server() as found:
        found.board.ready(True, "")
        yield found


@asynccontextmanager
async def again(served: Served, port: int) -> AsyncIterator[None]:
    """The same daemon's server on another port, ended and begun as often as one likes."""
    desk = replace(served.desk, ending=asyncio.Event())
    async with serving(desk, None, ("127.0.0.1", port)):
        yield


async def verify(served: Served, swap_id: int = 1) -> None:
    """The daemon moves a swap on."""
    saga = await served.daemon.saga(swap_id)
    assert saga is not None
    payment = Payment(Chain.BTC, f"{swap_id:064x}", 5, "cd" * 32, 1_000_000, "ef" * 32)
    await served.daemon.step(saga, Step(event=Event.SOURCE_VERIFIED, patch=SagaPatch(payment=payment)))


async def test_a_token_opens_it_and_is_nowhere_but_in_the_tab(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url)
    await expect(visit.page.locator("#login")).to_be_visible()
    await expect(visit.page.locator("#main")).to_be_hidden()
    await visit.page.fill("#token", READ)
    await visit.page.keyboard.press("Enter")
    await expect(visit.page.locator("#health")).to_have_text("following")
    await expect(visit.page.locator("#open tbody tr")).to_have_count(3)
    assert READ not in await visit.page.content()
    assert not any(READ in url for url in visit.asked)
    linked = await Visit.to(browser, served.url, READ)
    await expect(linked.page.locator("#main")).to_be_visible()
    assert READ not in linked.page.url


async def test_a_wrong_token_is_told_and_asked_for_again(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url, "w" * 40)
    await expect(visit.page.locator("#trouble")).to_contain_text("not known")
    await expect(visit.page.locator("#login")).to_be_visible()
    await expect(visit.page.locator("#main")).to_be_hidden()


async def test_a_swap_that_moves_is_seen_to_move(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url, READ)
    await expect(visit.page.locator("#journal li")).to_have_count(7)
    await verify(served)
    moved = visit.page.locator("#open tbody tr:has(button:text-is('1'))")
    await expect(moved).to_contain_text("verified", timeout=SOON_MS)
    await expect(visit.page.locator("#journal li").first).to_contain_text("swap 1: source verified")
    await expect(visit.page.locator("[data-state=VERIFIED]")).to_have_attribute(
        "aria-label", re.compile("verified: 1 swaps")
    )
    assert not visit.errors


async def test_it_comes_back_by_itself_after_the_daemon_did(browser: Browser, served: Served) -> None:
    port = free_port()
    async with again(served, port):
        visit = await Visit.to(browser, f"http://127.0.0.1:{port}", READ)
        await expect(visit.page.locator("#journal li")).to_have_count(7)
    await expect(visit.page.locator("#trouble")).to_be_visible()
    await verify(served)
    async with again(served, port):
        await expect(visit.page.locator("#trouble")).to_be_hidden()
        await expect(visit.page.locator("#journal li")).to_have_count(8)
        await expect(visit.page.locator("#journal li").first).to_contain_text("swap 1: source verified")
        assert "verified" in await visit.row(1)


async def test_without_swaps_it_says_so(browser: Browser) -> None:
    async with server(filled=False) as served:
        served.board.ready(True, "")
        visit = await Visit.to(browser, served.url, READ)
        await expect(visit.page.locator("#empty")).to_be_visible()
        await expect(visit.page.locator("#open")).to_be_hidden()
        assert not visit.errors


async def test_a_thousand_swaps(browser: Browser, served: Served) -> None:
    watch = await served.daemon.acquire("watch")
    found = tuple(Discovery(swap_of(number)) for number in range(4, 1001))
    await served.daemon.ingest(
        Ingest(Head(20, "0x" + "20" * 32), (Head(21, "0x" + "21" * 32),), found), watch
    )
    visit = await Visit.to(browser, served.url, READ)
    await expect(visit.page.locator("#open tbody tr")).to_have_count(1000)
    await expect(visit.page.locator("#open-count")).to_have_text("(1,000)")
    await verify(served, 777)
    moved = visit.page.locator("#open tbody tr:has(button:text-is('777'))")
    await expect(moved).to_contain_text("verified", timeout=SOON_MS)


async def test_a_store_that_refuses_is_told_and_what_is_known_stays(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url, READ)
    await expect(visit.page.locator("#open tbody tr")).to_have_count(3)
    await served.desk.store.close()
    await expect(visit.page.locator("#trouble")).to_contain_text("the store refuses")
    await expect(visit.page.locator("#open tbody tr")).to_have_count(3)


async def test_what_needs_a_person_is_said_with_the_command(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url, READ)
    await expect(visit.page.locator("#needs code")).to_have_text("swap-miner recovery show --swap 3")
    await expect(visit.page.locator("#recovery code")).to_have_text("swap-miner recovery show --swap 3")
    served.board.ready(False, "no endpoint answers")
    await expect(visit.page.locator("#health")).to_have_text("not ready: no endpoint answers")


async def test_all_of_it_can_be_done_by_keyboard(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url, READ)
    page = visit.page
    await expect(page.locator("#open tbody tr")).to_have_count(3)
    await page.locator("[data-state=HELD]").focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#open tbody tr:visible")).to_have_count(1)
    await page.locator("#filter-off").focus()
    await page.keyboard.press("Space")
    await expect(page.locator("#open tbody tr:visible")).to_have_count(3)
    await page.locator("#open button").first.focus()
    await page.keyboard.press("Enter")
    await expect(page.locator("#swap")).to_be_visible()
    await expect(page.locator("#swap-title")).to_have_text("Swap 1: discovered")
    await page.keyboard.press("Escape")
    await expect(page.locator("#swap")).to_be_hidden()
    await page.keyboard.press("Home")
    focused: set[str] = set()
    await page.locator("body").focus()
    for _ in range(40):
        await page.keyboard.press("Tab")
        focused.add(
            await page.evaluate("document.activeElement.id || document.activeElement.textContent.trim()")
        )
    assert {"1", "2", "3"} <= focused, "a swap's button is reached by no key"


async def test_every_part_has_a_name_for_who_does_not_see_it(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url, READ)
    await expect(visit.page.locator("#open tbody tr")).to_have_count(3)
    spoken = await visit.page.locator("body").aria_snapshot()
    for name in (
        'button "held: 1 swaps; show them alone"', 'region "Open swaps (3)"', 'heading "Wallets"',
        'columnheader "Blocks left"', 'button "swap 2: everything that is known of it"', "status: following",
    ):  # fmt: skip
        assert name in spoken, f"{name} is not in:\n{spoken}"
    nameless = await visit.page.evaluate(
        "[...document.querySelectorAll('button,input,[role=img],[role=button]')]"
        ".filter((e) => !(e.textContent.trim() || e.ariaLabel || e.labels?.length)).map((e) => e.outerHTML)"
    )
    assert nameless == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_on_a_phone_nothing_is_cut_off_and_both_schemes_can_be_read(
    browser: Browser, served: Served, scheme: str
) -> None:
    small = {"width": 360, "height": 740}
    visit = await Visit.to(browser, served.url, READ, viewport=small, color_scheme=scheme)
    await expect(visit.page.locator("#open tbody tr")).to_have_count(3)
    assert await visit.page.evaluate("document.documentElement.scrollWidth") <= 360
    await expect(visit.page.locator("#chips button")).to_have_count(3)
    lights = await visit.page.evaluate(
        "['color', 'backgroundColor'].map((name) => getComputedStyle(document.body)[name])"
        ".map((text) => text.match(/[0-9.]+/g).slice(0, 3).map(Number).reduce((a, b) => a + b))"
    )
    ink, back = lights
    assert (ink < back) == (scheme == "light")
    assert abs(ink - back) > 450, "too little contrast"


async def test_strangers_words_do_nothing(browser: Browser, served: Served) -> None:
    saga = await served.daemon.saga(1)
    assert saga is not None
    evil = "<img src=x onerror=alert(1)> \N{RIGHT-TO-LEFT OVERRIDE}desrever"
    await served.daemon.step(saga, Step(event=Event.NOTED, patch=SagaPatch(reason=evil)))
    visit = await Visit.to(browser, served.url, READ)
    await expect(visit.page.locator("#open tbody tr")).to_have_count(3)
    told = await visit.row(1)
    assert "<img src=x onerror=alert(1)>" in told
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in await visit.page.locator("body").inner_text()
    assert await visit.page.locator("img").count() == 0
    assert not visit.refused


async def test_nothing_is_asked_of_anybody_else(browser: Browser, served: Served) -> None:
    visit = await Visit.to(browser, served.url, READ)
    await expect(visit.page.locator("#journal li")).to_have_count(7)
    assert {urlsplit(url).netloc for url in visit.asked} == {f"127.0.0.1:{served.port}"}
    assert not visit.errors
    assert not visit.refused


async def test_a_page_of_another_site_can_neither_frame_nor_read_it(browser: Browser, served: Served) -> None:
    async with server() as other:
        visit = await Visit.to(browser, other.url)
        told = await visit.page.evaluate(
            "(url) => fetch(url, {headers: {Authorization: 'Bearer x'}}).then(() => 'read', () => 'refused')",
            f"{served.url}/api/v1/status",
        )
    assert told == "refused"
