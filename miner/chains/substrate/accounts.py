"""Nonces and balances of all our accounts at a finalised block, in one request a block."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from miner.chains.substrate.blocks import Blocks
from miner.chains.substrate.cache import Shared
from miner.errors import ReadFailed


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """An account at a block; all zeros where the chain holds none.

    Attributes:
        nonce: How many transactions it has sent.
        free: Its free balance, smallest unit.
        bound: What of `free` may not be spent: frozen above what is reserved.
    """

    nonce: int = 0
    free: int = 0
    bound: int = 0

    def spendable(self, existential_deposit: int) -> int:
        """What a transfer that keeps the account alive can move, its own fee included."""
        return max(0, self.free - max(self.bound, existential_deposit))


class Accounts:
    """Accounts at finalised blocks. Whoever asks for one is told of from then on with all others."""

    def __init__(self, blocks: Blocks, ours: Iterable[str]) -> None:
        self._blocks = blocks
        self._asked = dict.fromkeys(ours)
        self._known: Shared[str, Mapping[str, AccountInfo]] = Shared(4)

    async def at(self, account: str, block_hash: str) -> AccountInfo:
        """The account at a block.

        Raises:
            ReadFailed: It could not be read.
        """
        self._asked[account] = None
        known = await self._known.get(block_hash, lambda: self._read(block_hash))
        if account not in known:
            known = await self._read(block_hash)
            self._known.put(block_hash, known)
        return known[account]

    async def _read(self, block_hash: str) -> Mapping[str, AccountInfo]:
        runtime = self._blocks.newest or await self._blocks.runtime()
        accounts = list(self._asked)
        keys = [runtime.storage_key("System", "Account", [account]) for account in accounts]
        values = await self._blocks.values(f"accounts at {block_hash}", keys, block_hash)
        return {
            account: AccountInfo() if raw is None else _info(runtime.decode_storage("System", "Account", raw))
            for account, raw in zip(accounts, values, strict=True)
        }


def _info(told: Any) -> AccountInfo:
    try:
        data = told["data"]
        frozen = data["frozen"] if "frozen" in data else max(data["misc_frozen"], data["fee_frozen"])
        return AccountInfo(int(told["nonce"]), int(data["free"]), max(0, int(frozen) - int(data["reserved"])))
    except (KeyError, TypeError, ValueError) as exc:
        raise ReadFailed("an account", f"it does not read: {exc!r}") from exc
