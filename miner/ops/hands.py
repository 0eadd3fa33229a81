"""What the server has the daemon do that rows in the store cannot ask for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from miner.affairs.holdings import Quotes, Standings
from miner.affairs.wallet import Purse
from miner.model import Asked, Audit, Outcome, Saga
from miner.ports import Outbox


class Hands(Protocol):
    """The daemon's own, over what it is connected to.

    What asks a chain raises `ReadFailed` while the daemon is not connected, or the chain does not answer.
    What takes a miner's name or hotkey raises `ConfigError` where there is none such.
    """

    async def look(self, asked: Asked) -> Outcome:
        """What would come of a request; nothing is changed."""

    async def rebuild(self, swap_id: int, actor: str) -> Audit:
        """Write a swap's row anew from its journal, under the daemon's own lease.

        Raises:
            LeaseLost: The daemon does not hold it.
        """

    async def validate(self, text: str, files: bool) -> tuple[bool, list[Mapping[str, Any]]]:
        """What is found of settings, line by line, and whether they will do."""

    def miner(self, named: str | None) -> tuple[str, str]:
        """Name and hotkey of the miner that is named, or of the only one."""

    async def wallets(self, named: str | None) -> Sequence[Purse]:
        """What the miners' accounts hold and owe."""

    async def standings(self, named: str | None) -> Standings:
        """How the miners stand with the contract."""

    async def quotes(self, named: str | None, *, read: bool) -> Quotes:
        """What the miners have committed as quotes; without `read` only who there is, and the fee."""

    async def chain_now(self, saga: Saga) -> Mapping[str, Any]:
        """What contract and chains say of a swap now."""

    async def clear_account(self, account: str, actor: str) -> bool | None:
        """Let first sends go on for a stopped account.

        Returns:
            Whether it was stopped; None where the store does not know the account.

        Raises:
            Refused: `old_bytes_are_valid_again`: says until when.
        """

    async def accept_code(self, actor: str) -> tuple[str, str]:
        """Accept the contract's code as it is now; the hash pinned before, and the one pinned now."""

    async def recovery_log(self) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
        """The recovery log's entries, and its damage in words."""

    async def resolve(self, entry: Mapping[str, Any], reason: str, actor: str) -> None:
        """Note in the recovery log that an entry was dealt with."""

    async def notices(self) -> Mapping[str, Any]:
        """Targets of notices with what waits, arrived and is dead, and what is wrong now."""

    async def send_test(self, target: str | None) -> Sequence[Mapping[str, Any]]:
        """Send a test message to a target, or to all; what came of each."""

    def outbox(self) -> Outbox:
        """What operators are to be told."""
