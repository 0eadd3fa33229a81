"""A witness beside a server: which transaction it is known to have committed as the newest signed one.

A server whose files were put back while no daemon ran, on the timeline it was on, looks as it did. Only
somebody else can tell: this file, in the daemon's own folder.
"""

from __future__ import annotations

from pathlib import Path

from miner.durable import as_its_folder, supersede
from miner.errors import StoreUnavailable


class Witness:
    """Remembers an id across restarts.

    Args:
        file: Where; None remembers nothing.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = file

    def told(self) -> str:
        """The newest id; empty where there is none.

        Raises:
            StoreUnavailable: It cannot be read.
        """
        try:
            return "" if self._file is None else self._file.read_text("ascii", "replace").strip()
        except (FileNotFoundError, PermissionError):  # another user's command has no part in it
            return ""
        except OSError as exc:
            raise StoreUnavailable(f"{self._file}: {exc}") from exc

    def write(self, txid: str) -> None:
        """From now on this is the newest; durable on return, and never half of it.

        Raises:
            StoreUnavailable: It may not be written; the file holds this id or the one before.
        """
        if self._file is None:
            return
        draft = self._file.with_suffix(".new")
        try:
            draft.write_text(txid, encoding="ascii")
            as_its_folder(draft)
            supersede(draft, self._file)
        except OSError as exc:
            raise StoreUnavailable(f"{self._file}: {exc}") from exc
