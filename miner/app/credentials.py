"""Secrets at rest: each file of the credentials folder encrypted to this machine, and the unit told of it.

`systemd-creds` encrypts with a key of the machine (its TPM, or a file that root alone reads), so that a copy
of the folder, or of a backup of it, tells nothing. systemd decrypts what the unit loads into memory that only
the service sees.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from miner.app.passing import ENCRYPTED
from miner.app.service import UNITS, Act, Place, Step, file_step
from miner.errors import ConfigError

TOOL = "systemd-creds"
DROP_IN = "zz-credentials.conf"
"""After `override.conf` by its name: what is encrypted goes before what was loaded in plain."""
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", re.ASCII)
_NAMED = re.compile(r"credential:([A-Za-z0-9_.-]+)", re.ASCII)


def is_possible() -> bool:
    """Whether this machine's systemd encrypts credentials."""
    return shutil.which(TOOL) is not None


def in_plain(place: Place) -> list[Path]:
    """The secrets that the settings name as credentials and that lie there unencrypted, by name."""
    wanted = _named_in(place.settings)
    return [path for path in _files(place) if path.suffix != ENCRYPTED and path.name in wanted]


def encrypting(place: Place) -> list[Step]:
    """What encrypting those would do, in order. The plain files stay until you have seen the service start.

    Raises:
        ConfigError: This machine has no `systemd-creds`; or root is not `/`, where no command is run.
    """
    if place.root != Path("/"):
        raise ConfigError("--encrypt", "needs the machine itself", "Run it there, without --root")
    if not is_possible():
        raise ConfigError(
            TOOL, "is not on this machine", "It comes with systemd 250; else use LoadCredential="
        )
    steps = [_encrypt(plain) for plain in in_plain(place)]
    names = {path.name for path in in_plain(place)} | set(_encrypted(place))
    return [*steps, *_drop_in(place, sorted(names))]


def left_over(place: Place) -> list[Step]:
    """What uninstalling removes of it: the drop-in; the secrets stay."""
    path = _drop_in_path(place)
    return [Step(Act.REMOVE, str(path), "tells the unit of encrypted secrets")] if path.exists() else []


def _encrypt(plain: Path) -> Step:
    into = plain.with_name(plain.name + ENCRYPTED)
    if into.exists() and into.stat().st_mtime >= plain.stat().st_mtime:
        return Step(Act.KEEP, str(into), "is encrypted already")
    return Step(Act.RUN, f"{TOOL} encrypt --name={plain.name} {plain} {into}", "encrypts it to this machine")


def _drop_in(place: Place, names: Sequence[str]) -> Iterator[Step]:
    if not names:
        return
    folder = _folder(place)
    lines = [f"LoadCredentialEncrypted={name}:{folder / name}{ENCRYPTED}" for name in names]
    text = "# Secrets that the settings name, as systemd-creds encrypted them.\n[Service]\n" + "\n".join(
        lines
    )
    yield file_step(_drop_in_path(place), text + "\n", "tells the unit of encrypted secrets")


def _drop_in_path(place: Place) -> Path:
    return place.root / UNITS / f"{place.service}.d" / DROP_IN


def _folder(place: Place) -> Path:
    return place.secrets


def _files(place: Place) -> list[Path]:
    folder = _folder(place)
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.is_file() and _NAME.fullmatch(path.name)]


def _encrypted(place: Place) -> list[str]:
    wanted = _named_in(place.settings)
    found = [path.stem for path in _files(place) if path.suffix == ENCRYPTED]
    return [name for name in found if name in wanted]


def _named_in(settings: Path) -> set[str]:
    """Names of credentials in the settings' lines that are no comments; the file may not be whole yet."""
    try:
        lines = settings.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return set()
    return {name for line in lines if not line.lstrip().startswith("#") for name in _NAMED.findall(line)}
