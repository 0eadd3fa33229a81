"""`logs`: the daemon's lines from journald or a file, a swap's among them, fit to be shown to others."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from miner.config import Settings
from miner.errors import ConfigError, ReadFailed
from miner.notify import story
from miner.notify.redact import Redactor

UNIT = "swap-miner.service"


def read_log(
    settings: Settings,
    swap_id: int | None,
    begin: datetime | None,
    file: Path | None,
    unit: str,
    redact: bool,
) -> list[dict[str, Any]]:
    """Lines of the log, oldest first.

    Args:
        settings: Their hosts and folders are redacted wherever they stand.
        swap_id: Only what tells of this swap.
        begin: Only from this time on.
        file: A file of JSON lines, ours or journald's; without it journald is asked.
        unit: The unit whose lines journald has.
        redact: Leave out who and where.

    Raises:
        ConfigError: There is neither a file nor a journal.
        ReadFailed: It could not be read.
    """
    with _raw(file, unit, begin) as raw:
        found = list(story.since(story.lines_of(raw), begin))
    if swap_id is not None:
        found = story.of_swap(found, swap_id)
    redactor = Redactor(known_words(settings))
    return [redactor.line(line) if redact else dict(line) for line in found]


@contextmanager
def _raw(file: Path | None, unit: str, begin: datetime | None) -> Iterator[Iterator[bytes]]:
    if file is not None:
        try:
            with file.open("rb") as lines:
                yield lines
        except OSError as exc:
            raise ConfigError("--file", f"{file} cannot be read ({exc.strerror})", "Name the log") from exc
        return
    journal = shutil.which("journalctl")
    if journal is None:
        raise ConfigError("logs", "there is no journald here", "Name the file that the log goes to: --file")
    yield iter(_journal([journal, "-o", "json", "--no-pager", "-q", "-u", unit], begin))


def _journal(command: list[str], begin: datetime | None) -> list[bytes]:
    if begin is not None:
        command.append(f"--since=@{int(begin.timestamp())}")
    try:
        told = subprocess.run(command, capture_output=True, check=False, timeout=120)  # noqa: S603 (a list)
    except (OSError, subprocess.TimeoutExpired) as exc:
        raise ReadFailed("the journal", type(exc).__name__) from exc
    if told.returncode != 0:
        raise ReadFailed("the journal", told.stderr.decode(errors="replace").strip() or "journalctl failed")
    return told.stdout.splitlines()


def known_words(settings: Settings) -> Iterator[tuple[str, str]]:
    """Hosts, folders, wallets and names that the settings hold, each with its kind."""
    contract, bitcoin = settings.contract, settings.bitcoin
    urls = [
        *contract.endpoints,
        contract.archive_endpoint,
        settings.store.url,
        bitcoin.url if bitcoin else None,
    ]
    urls += [target.url for target in settings.notify]
    for url in filter(None, urls):
        yield "url", url
        yield "host", urlsplit(url).hostname or ""
    yield "path", str(settings.store.path)
    yield "path", str(settings.recovery_file.parent)
    for miner in settings.miners:
        for address in (miner.hotkey_address, miner.tao_address, miner.btc_address):
            yield "address", address or ""
