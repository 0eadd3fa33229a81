"""A Chromium, and pages of the dashboard in it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from playwright.async_api import Browser, Page, async_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or ""
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
PATIENCE_MS = 20_000
SOON_MS = 6_000
"""Sooner than the page asks by itself: what is seen by then was told by the feed."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """A browser with an empty profile."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS])
        try:
            yield browser
        finally:
            await browser.close()


@dataclass
class Visit:
    """A page, and what went on behind it.

    Attributes:
        page: The page.
        errors: What its scripts threw.
        asked: Every address that it asked for.
        refused: What the content security policy refused.
    """

    page: Page
    errors: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    @classmethod
    async def to(cls, browser: Browser, url: str, token: str = "", **context: object) -> Visit:
        """Open the dashboard, with a token in the address where there is one."""
        page = await browser.new_page(**context)  # type: ignore[arg-type]
        page.set_default_timeout(PATIENCE_MS)
        visit = cls(page)
        page.on("pageerror", lambda error: visit.errors.append(str(error)))
        page.on("request", lambda request: visit.asked.append(request.url))
        page.on(
            "console",
            lambda said: visit.refused.append(said.text) if "Content Security Policy" in said.text else None,
        )
        await page.goto(f"{url}/#token={token}" if token else f"{url}/")
        return visit

    async def row(self, swap_id: int) -> str:
        """The row of a swap in the table of open swaps."""
        row = self.page.locator(f"#open tbody tr:has(button:text-is('{swap_id}'))")
        return await row.inner_text()
