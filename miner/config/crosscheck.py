"""What one setting alone cannot tell: settings against each other."""

from __future__ import annotations

from collections.abc import Iterator

from miner.config.problems import BadValue, shown
from miner.config.quantities import check_segwit
from miner.config.settings import KeySource, Settings

KeyPath = tuple[str | int, ...]
Found = tuple[KeyPath, str, str]
"""Key path, problem, remedy."""


def cross_check(settings: Settings) -> list[Found]:
    """Everything in which the settings contradict each other."""
    return [
        *_duplicates(settings),
        *_dev_keys(settings),
        *_bitcoin(settings),
        *_clocks(settings),
        *_server(settings),
        *_targets(settings),
    ]


def keys_of(settings: Settings) -> Iterator[tuple[KeyPath, KeySource]]:
    """Every key that the settings name, with its place."""
    for index, miner in enumerate(settings.miners):
        yield ("miners", index, "hotkey"), miner.hotkey
        if miner.tao_key is not None:
            yield ("miners", index, "tao_key"), miner.tao_key


def _duplicates(settings: Settings) -> Iterator[Found]:
    first_with: dict[tuple[str, object], str] = {}
    for index, miner in enumerate(settings.miners):
        for key in ("name", "hotkey", "hotkey_address"):
            value = getattr(miner, key)
            if value is None:
                continue
            if (key, value) in first_with:
                problem = f"{shown(key, value) if key != 'hotkey' else 'this key'} is that of miner "
                other = first_with[key, value]
                yield (
                    ("miners", index, key),
                    f"{problem}{other!r} already",
                    "One entry a miner: correct one of them",
                )
            else:
                first_with[key, value] = miner.name


def _dev_keys(settings: Settings) -> Iterator[Found]:
    if settings.contract.allow_dev_keys:
        return
    for path, source in keys_of(settings):
        if source.uri is not None:
            yield (
                (*path, "uri"),
                "is a development key, which everybody has",
                "Use keyfile or mnemonic_file; on a local devnet set contract.allow_dev_keys = true",
            )


def _bitcoin(settings: Settings) -> Iterator[Found]:
    for index, miner in enumerate(settings.miners):
        if settings.bitcoin is None:
            for key in ("btc_address", "btc_wallet"):
                if getattr(miner, key) is not None:
                    remedy = "Add the table [bitcoin], or remove this"
                    yield ("miners", index, key), "stands here, but there is no [bitcoin]", remedy
        elif miner.btc_address is not None:
            try:
                check_segwit(miner.btc_address, settings.bitcoin.network)
            except BadValue as exc:
                problem = exc.problem.replace("{value}", shown("btc_address", miner.btc_address))
                yield ("miners", index, "btc_address"), problem, exc.remedy


def _clocks(settings: Settings) -> Iterator[Found]:
    contract, store = settings.contract, settings.store
    if store.busy_timeout_s * 2 > store.lease_ttl_s:
        yield (
            ("store", "lease_ttl_s"),
            f"{store.lease_ttl_s:g} is less than twice busy_timeout_s ({store.busy_timeout_s:g})",
            "Raise lease_ttl_s: a heartbeat that waits for another's write must still come in time",
        )
    if contract.stall_timeout_s < contract.request_timeout_s:
        yield (
            ("contract", "stall_timeout_s"),
            f"{contract.stall_timeout_s:g} is less than request_timeout_s ({contract.request_timeout_s:g})",
            "Raise stall_timeout_s: a slow answer is no stall",
        )


def _server(settings: Settings) -> Iterator[Found]:
    store = settings.store
    if store.url is not None:
        return
    for key, is_set in (("password_file", store.password_file is not None), ("standby", store.standby)):
        if is_set:
            remedy = "Set store.url, or remove this"
            yield ("store", key), "is for a PostgreSQL database, and store.url names none", remedy


def _targets(settings: Settings) -> Iterator[Found]:
    names: set[str] = set()
    for index, target in enumerate(settings.notify):
        if target.name in names:
            problem = f"{shown('name', target.name)} is that of another target already"
            yield ("notify", index, "name"), problem, "Give each target a name of its own"
        names.add(target.name)
