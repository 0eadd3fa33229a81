"""The secrets that settings name as credentials, and what has systemd pass them to the service."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from miner.config import CheckLine
from miner.config.problems import BadValue
from miner.config.secrets import CREDENTIALS, SecretKind, parse_secret

DROP_IN = "credentials.conf"
ENCRYPTED = ".cred"
"""How the name of a file made by systemd-creds ends."""
_PASSED = re.compile(r"^(?:Load|Set)Credential(?:Encrypted)?=([^:\s]+)(?::(/\S+))?", re.MULTILINE)


def named(text: str) -> tuple[str, ...]:
    """Names of the credentials that settings name, in order; none where the text is no TOML."""
    try:
        tree = tomllib.loads(text)
    except (ValueError, RecursionError):
        return ()
    return tuple(sorted(set(_credentials(tree))))


def _credentials(value: object) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _credentials(inner)
    elif isinstance(value, str) and value.startswith("credential:"):
        with suppress(BadValue):
            secret = parse_secret(value)
            if secret.kind is SecretKind.CREDENTIAL:
                yield secret.name


def drop_in(names: Iterable[str], folder: Path, seen_as: Path) -> str:
    """What the service is told beside its unit, so that it is passed these files of a folder.

    Args:
        names: The credentials.
        folder: Where they are.
        seen_as: That folder, as systemd will see it.
    """
    lines = ["# Written by `swap-miner service install`: the secrets that the settings name.", "[Service]"]
    for name in names:
        if (folder / f"{name}{ENCRYPTED}").exists():
            lines.append(f"LoadCredentialEncrypted={name}:{seen_as / name}{ENCRYPTED}")
        else:
            lines.append(f"LoadCredential={name}:{seen_as / name}")
    return "\n".join(lines) + "\n"


def missing(names: Iterable[str], folder: Path) -> list[str]:
    """Those that are not in the folder yet, plain or encrypted."""
    return [name for name in names if not any((folder / f"{name}{end}").exists() for end in ("", ENCRYPTED))]


def service_line(names: Iterable[str], unit: Path, service: str, remedy: str) -> CheckLine | None:
    """Whether the installed service is passed what its settings name.

    Args:
        names: The credentials.
        unit: The unit's file.
        service: What systemctl calls it.
        remedy: The command that installs it.

    Returns:
        A line for `check`; None within the service itself, which has been passed what it was passed.
    """
    if os.environ.get(CREDENTIALS):
        return None
    name = f"service {service}"
    if not unit.exists():
        return CheckLine(name, None, "not installed here", remedy)
    folders = {f"{unit.name}.d", f"{service}.d"}
    beside = (file for each in folders for file in (unit.parent / each).glob("*.conf"))
    files = [unit, *sorted(beside, key=lambda file: file.name)]  # the last one counts, as for systemd
    passed = dict(each for file in files for each in _PASSED.findall(file.read_text(encoding="utf-8")))
    lacking = [each for each in names if each not in passed]
    if lacking:
        return CheckLine(name, False, f"is not passed {', '.join(lacking)}", f"{remedy}, then restart it")
    gone = [path for path in passed.values() if path and not Path(path).exists()]
    if gone:
        problem = f"does not start: it is to be passed {', '.join(gone)}, which is not there"
        return CheckLine(
            name, False, problem, f"Put it there; or, where the settings do not name it: {remedy}"
        )
    return CheckLine(name, True, f"is passed {', '.join(names) or 'no secrets'}")
