"""What the operator's commands need of the adapters."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from miner.app.tell import SystemClock
from miner.app.wiring import connect
from miner.config import Settings
from miner.errors import ConfigError
from miner.model import ImportedSend, Json, PendingRecovery, RecoveryEntry, SagaKey
from miner.notify.log import configure
from miner.notify.recovery import RecoveryFile
from miner.ops.entries import RESOLVED
from miner.ports import Store
from miner.saga import State
from miner.settle.desk import CODE_HASH
from miner.store import parse_sent_cache
from miner.sweep import write_recovery


async def accept_code(settings: Settings, store: Store, actor: str) -> tuple[str, str]:
    """Accept the contract's code as it is now; a running daemon goes on with it at its next payout.

    Returns:
        The code hash that was pinned before, and the one that is now.
    """
    configure("warning", settings.log.format)
    outside = await connect(settings, SystemClock())
    await outside.close()
    return await store.repin(CODE_HASH, outside.code_hash, actor), outside.code_hash


def read_sent_cache(path: Path) -> Sequence[ImportedSend]:
    """Read another program's sent cache.

    Raises:
        ConfigError: It cannot be read, or is no sent cache; nothing of it is used.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as exc:
        raise ConfigError(str(path), f"cannot be read ({exc.strerror or exc})", "Name the file") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(str(path), "is not text", "Name the sent cache, a JSON file") from exc
    return parse_sent_cache(text, str(path))


async def resolve(
    settings: Settings, store: Store | None, entry: Mapping[str, Any], reason: str, actor: str
) -> None:
    """Note that an entry of the recovery log was dealt with, by a line of its own: the entry stays.

    The log is appended to under its file lock, line by line, as the daemon does it; entries that the store
    has not written there yet go first. No swap is changed, so no lease is needed.

    Raises:
        StoreError: It could not be noted; ask again.
    """
    log = RecoveryFile(settings.recovery_file)
    at_ms = time.time_ns() // 1_000_000
    if store is not None:
        await write_recovery(store, log)
        detail: dict[str, Json] = {"entry": entry["id"], "swap_id": entry["swap_id"], "cause": entry["cause"]}
        await store.log_operator(actor, "recovery_resolve", {**detail, "reason": reason})
        at_ms = await store.now_ms()
    key = SagaKey(str(entry["genesis"]), str(entry["contract"]), int(entry["swap_id"]))
    line = RecoveryEntry(f"{RESOLVED}{entry['cause']}", reason, {"actor": actor, "reason": reason})
    await log.append(PendingRecovery(int(entry["id"]), key, State(entry["state"]), at_ms, line))
