"""The lines of the preflight table, and those that the settings alone can fill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from miner.amounts import Chain, format_amount
from miner.config.limits import BtcLimits, TaoLimits
from miner.config.problems import without_credentials
from miner.config.settings import Settings, StoreSettings

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class CheckLine:
    """What one check found.

    Attributes:
        name: What was looked at (`endpoint wss://node.example`).
        ok: Whether it will do; None: nothing wrong, but worth knowing, or it could not be looked at.
        detail: What was found.
        remedy: What to do; empty when nothing is to be done.
    """

    name: str
    ok: bool | None
    detail: str = ""
    remedy: str = ""


def settings_lines(settings: Settings) -> Iterator[CheckLine]:
    """What the settings amount to; every line is good or worth knowing, since bad settings do not load."""
    yield from _rail(Chain.TAO, settings.limits.tao)
    if Chain.BTC in settings.chains:
        yield from _rail(Chain.BTC, settings.limits.btc)
    else:
        yield CheckLine(
            "bitcoin",
            None,
            "not set up: a swap that pays or receives BTC is refused",
            "Add the table [bitcoin]",
        )
    if settings.contract.archive_endpoint is None:
        yield CheckLine(
            "archive endpoint",
            None,
            "none: what a node has discarded stays unknown, such as how a swap ended during a long pause",
            "Set contract.archive_endpoint",
        )
    if settings.contract.genesis is None:
        yield CheckLine("genesis", None, "not pinned: the first answer is held to", "Set contract.genesis")
    yield from _shared(settings)
    yield from _unencrypted(settings)


def _rail(chain: Chain, limits: TaoLimits | BtcLimits) -> Iterator[CheckLine]:
    yield CheckLine(
        f"{chain} margin", True, f"{limits.effective_margin} blocks; least: {limits.margin.arithmetic}"
    )
    named = (
        (limits.max_per_swap, "a swap", "max_per_swap"),
        (limits.max_per_hour, "an hour", "max_per_hour"),
    )
    detail = ", ".join(
        f"{'no cap' if cap is None else format_amount(cap, chain)} {what}" for cap, what, _ in named
    )
    missing = [f"limits.{chain}.{key}" for cap, _, key in named if cap is None]
    yield CheckLine(
        f"{chain} caps", None if missing else True, detail, f"Set {', '.join(missing)}" if missing else ""
    )


def _shared(settings: Settings) -> Iterator[CheckLine]:
    users: dict[str, list[str]] = defaultdict(list)
    for miner in settings.miners:
        for address in filter(None, (miner.tao_address, miner.btc_address)):
            users[address].append(miner.name)
    for address, names in users.items():
        if len(names) > 1:
            detail = f"shared by {', '.join(names)}: one balance serves them, the earliest deadline first"
            yield CheckLine(f"account {address}", None, detail)


def _unencrypted(settings: Settings) -> Iterator[CheckLine]:
    urls = [*settings.contract.endpoints, settings.contract.archive_endpoint]
    urls += [settings.bitcoin.url] if settings.bitcoin is not None else []
    for url in filter(None, urls):
        if urlsplit(url).scheme in ("ws", "http") and urlsplit(url).hostname not in _THIS_MACHINE:
            detail = "not encrypted: whoever is in between can lie"
            yield CheckLine(without_credentials(url), None, detail, "Use wss:// or https://, or a tunnel")
    yield from _store(settings.store)


def _store(store: StoreSettings) -> Iterator[CheckLine]:
    """A server elsewhere is to be known by its certificate."""
    if store.url is None:
        return
    address, _, query = store.url.partition("?")
    host = address.partition("://")[2].partition("/")[0].rpartition("@")[2]
    near = not host or host.rpartition(":")[0].strip("[]") in _THIS_MACHINE or host in _THIS_MACHINE
    if not near and not host.startswith("%2F") and "sslmode=verify-" not in query:
        detail = "the server is not known by its certificate: whoever is in between can lie"
        yield CheckLine(f"store at {host}", None, detail, "Add ?sslmode=verify-full to store.url")
