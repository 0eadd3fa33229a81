"""Reads the settings, and tells everything that is wrong with them at once."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from miner.config.crosscheck import cross_check
from miner.config.explain import Explainer
from miner.config.files import check_files
from miner.config.problems import raise_all
from miner.config.secrets import base_folder, own_credentials
from miner.config.settings import Settings
from miner.errors import ConfigError

DEFAULT_PATHS = (Path("/etc/swap-miner/config.toml"), Path("swap-miner.toml"))
"""Where settings are looked for when no file is named."""

_LARGEST = 1024 * 1024
_PLACE = re.compile(r"\(at (?:line (?P<line>\d+), column (?P<column>\d+)|(?P<end>end of document))\)")


def find(named: Path | None = None) -> Path:
    """The settings file: the one named, else the first of `DEFAULT_PATHS` that exists.

    Raises:
        ConfigError: There is none.
    """
    if named is not None:
        return named
    for path in DEFAULT_PATHS:
        if path.exists():
            return path
    raise ConfigError(
        str(DEFAULT_PATHS[0]),
        f"there is no settings file here, nor {DEFAULT_PATHS[1]} in this folder",
        "Name one with --config or SWAP_MINER_CONFIG, or write one: swap-miner init",
    )


def load(path: Path, files: bool = False) -> Settings:
    """Read and validate a settings file, with the environment's overrides.

    Args:
        path: The file.
        files: Whether the files that the settings name are looked at too (not read, where they are
            secret): there, readable, and open to nobody else. For what pays, not for what only reads.

    Raises:
        ConfigError: The settings cannot be used; `ConfigErrors` when for several reasons.
    """
    return read(_text(path), path, files)


def read(text: str, path: Path, files: bool = False) -> Settings:
    """As `load`, from the file's text.

    Args:
        text: The file.
        path: Where it is from: for messages, and as the start of relative paths.
        files: As for `load`.

    Raises:
        ConfigError: As for `load`.
    """
    tree = _parse(text, path)
    explain = Explainer(path, text, tree, dict(os.environ))
    strange = explain.stray_names(tree)
    token = base_folder.set(path.absolute().parent)
    theirs = own_credentials.set(credentials_of(path))
    try:
        settings = Settings(**{key: value for key, value in tree.items() if not key.startswith("_")})
    except ValidationError as exc:
        raise_all([*strange, *explain.validation(exc)])
        raise
    finally:
        base_folder.reset(token)
        own_credentials.reset(theirs)
    raise_all(strange)
    raise_all([explain.problem(found) for found in cross_check(settings)])
    if files:
        raise_all([explain.problem(found) for found in check_files(settings)])
    return settings


def credentials_of(path: Path) -> Path:
    """The folder from which the service with these settings is passed its credentials.

    `credentials` beside them; in that, a folder by the name of the settings where there is one, so that each
    of several services has its own.
    """
    folder = path.absolute().parent / "credentials"
    own = folder / path.stem
    try:
        return own if own.is_dir() else folder
    except OSError:  # not for us to look into
        return folder


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(_LARGEST + 1)
    except OSError as exc:
        remedy = "Name another with --config or SWAP_MINER_CONFIG, or write one: swap-miner init"
        raise ConfigError(str(path), f"cannot be read ({exc.strerror or exc})", remedy) from exc
    if len(raw) > _LARGEST:
        raise ConfigError(str(path), "is larger than 1 MiB", "Name the settings file")
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise ConfigError(f"{path}:{line}", "is not UTF-8 text", "Save the file as UTF-8") from exc


def _parse(text: str, path: Path) -> dict[str, Any]:
    remedy = "Correct the TOML there: text in quotes, one setting a line, each table once"
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # also numbers too long to read, tables too deep
        message = "too deeply nested" if isinstance(exc, RecursionError) else str(exc)
        raise ConfigError(*_place(message, text, path), remedy) from exc


def _place(message: str, text: str, path: Path) -> tuple[str, str]:
    found = _PLACE.search(message)
    what = _PLACE.sub("", message).strip()
    if found is None:
        return str(path), f"is no valid TOML: {what}"
    if found["end"]:
        text = text.rstrip()
        line, column = text.count("\n") + 1, len(text) - text.rfind("\n")
    else:
        line, column = int(found["line"]), int(found["column"])
    return f"{path}:{line}:{column}", f"is no valid TOML: {what}"
