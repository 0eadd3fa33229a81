"""The files that the settings name: there, readable, and, where they are secret, open to nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from urllib.parse import urlsplit

from miner.config.crosscheck import Found, KeyPath, keys_of
from miner.config.secrets import SecretFile
from miner.config.settings import Settings
from miner.errors import ConfigError

PLACEHOLDER_ADDRESS = "5C4hrfjw9DjXZTzV3MwzrrAr9P1MJhSrvWGWqi1eSuyUpnhM"
"""The account of 32 zero bytes, which nobody has."""


def check_files(settings: Settings) -> Iterator[Found]:
    """What is wrong with the files: key path, problem and remedy of each. Secrets are not read."""
    yield from _placeholders(settings)
    yield from _metadata(settings)
    for path, source in keys_of(settings):
        for key in ("keyfile", "password_file", "mnemonic_file"):
            yield from _secret((*path, key), getattr(source, key))
    yield from _secret(("store", "password_file"), settings.store.password_file)
    for key in ("read_token_file", "operate_token_file"):
        yield from _secret(("ops", key), getattr(settings.ops, key))
    for index, target in enumerate(settings.notify):
        for key in ("url_file", "secret_file"):
            yield from _secret(("notify", index, key), getattr(target, key))
    if settings.bitcoin is not None:
        yield from _cookie(settings.bitcoin.cookie_file)
        yield from _secret(("bitcoin", "password_file"), settings.bitcoin.password_file)


def _placeholders(settings: Settings) -> Iterator[Found]:
    """What the example has to say before anybody has filled it in."""
    for index, url in enumerate(settings.contract.endpoints):
        if (urlsplit(url).hostname or "").endswith(".example"):
            yield ("contract", "endpoints", index), f"{url!r} is the example's placeholder", "Name your node"
    if settings.contract.address == PLACEHOLDER_ADDRESS:
        problem = f"{PLACEHOLDER_ADDRESS!r} is the example's placeholder"
        yield ("contract", "address"), problem, "Write the swap contract's address"


def _metadata(settings: Settings) -> Iterator[Found]:
    where: KeyPath = ("contract", "metadata")
    path = settings.contract.metadata
    remedy = "Name the JSON file of the contract's build"
    try:
        found = json.loads(path.read_bytes())
    except OSError as exc:
        yield where, f"{path} cannot be read ({exc.strerror or exc})", remedy
    except (ValueError, RecursionError):
        yield where, f"{path} is no JSON", remedy
    else:
        if not isinstance(found, dict) or "spec" not in found or "types" not in found:
            yield where, f"{path} is no metadata of an ink! contract", remedy


def _cookie(cookie: SecretFile | None) -> Iterator[Found]:
    """The node makes its cookie when it starts, so it may be missing; its group may read it."""
    try:
        if cookie is not None and (cookie.path is None or cookie.path.exists()):
            cookie.check(shared_with_group=True)
    except OSError as exc:
        yield (
            ("bitcoin", "cookie_file"),
            f"{cookie} cannot be read ({exc.strerror or exc})",
            "Correct who may read it",
        )
    except ConfigError as exc:
        yield ("bitcoin", "cookie_file"), f"{exc.where} {exc.problem}", exc.remedy


def _secret(where: KeyPath, secret: SecretFile | None) -> Iterator[Found]:
    if secret is None:
        return
    try:
        secret.check()
    except ConfigError as exc:
        yield where, f"{exc.where} {exc.problem}", exc.remedy
