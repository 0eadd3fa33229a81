"""What the operator's commands need of the adapters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from miner.amounts import Chain
from miner.app.tell import SystemClock
from miner.app.wiring import connect
from miner.config import Settings
from miner.errors import ConfigError
from miner.model import ImportedSend
from miner.ports import Store
from miner.settle.desk import CODE_HASH
from miner.store import parse_sent_cache


async def clear(settings: Settings, store: Store, account: str, actor: str) -> bool | None:
    """Let first sends go on for a stopped account; accounting begins anew where the chain stands now.

    Returns:
        Whether it was stopped; None where the store does not know the account.
    """
    row = next((row for row in await store.accounts() if row.account == account), None)
    if row is None:
        return None
    outside = await connect(settings, SystemClock())
    try:
        chain = Chain(row.chain.partition(":")[0])
        base = await outside.rails[chain].baseline(account)
    finally:
        await outside.close()
    return await store.clear_account(row.chain, account, base, actor)


async def accept_code(settings: Settings, store: Store, actor: str) -> tuple[str, str]:
    """Accept the contract's code as it is now; a running daemon goes on with it at its next payout.

    Returns:
        The code hash that was pinned before, and the one that is now.
    """
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
