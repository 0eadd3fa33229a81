"""The contract's settings and code hash, read seldom."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

import structlog

from miner.contract.calls import UNKNOWN, CallFailed, Calls, gathered
from miner.contract.codec import UNDECODABLE
from miner.errors import ConfigError, ReadFailed, Refused
from miner.model import ContractEvent, Head, Terms
from miner.ports import Substrate

log = structlog.get_logger("miner.contract")

NO_CODE_REMEDY = (
    "Check `contract.address` and the endpoints' network; on a new chain deploy the contract first"
)

_CHANGES = frozenset({"ConfigUpdated", UNDECODABLE})


@dataclass(frozen=True, slots=True)
class _Kept:
    terms: Terms
    height: int


class TermsReads:
    """Reads settings and code hash; keeps the settings until an event or age says otherwise."""

    def __init__(self, calls: Calls, substrate: Substrate, address: str, keep_blocks: int) -> None:
        self._calls = calls
        self._substrate = substrate
        self._address = address
        self._keep_blocks = keep_blocks
        self._kept: _Kept | None = None
        self._changed_at = -1
        self._reading = asyncio.Lock()

    @property
    def kept_code_hash(self) -> str:
        """The code hash as last read; empty before."""
        return self._kept.terms.code_hash if self._kept else ""

    def note(self, events: Iterable[ContractEvent]) -> None:
        """Take in a block's events: a changed setting ends what is kept."""
        for event in events:
            if event.name in _CHANGES:
                self._changed_at = max(self._changed_at, event.block.height)

    async def terms(self, at: Head) -> Terms:
        """The settings: as kept, or five reads. The code hash is as old as the rest; see `code_hash`."""
        async with self._reading:
            if self._kept is None or not self._still_true(self._kept, at):
                self._kept = _Kept(await self._read(at), at.height)
            return self._kept.terms

    def _still_true(self, kept: _Kept, at: Head) -> bool:
        low, high = sorted((kept.height, at.height))
        return high - low < self._keep_blocks and not low < self._changed_at <= high

    async def _read(self, at: Head) -> Terms:
        code_hash = await self.code_hash(at)
        labels = ("get_fee_divisor", "get_fulfillment_timeout", "get_reservation_ttl")
        divisor, timeout, ttl = await gathered(self._calls.uint(label, at.hash) for label in labels)
        halted = (await self._calls.ask("get_halted", {}, at.hash)).value
        if not isinstance(halted, bool):
            raise CallFailed("get_halted", UNKNOWN, f"{type(halted).__name__} instead of a bool")
        return Terms(divisor, timeout, ttl, halted, code_hash)

    async def code_hash(self, at: Head) -> str:
        """The code hash at a block, read anew (one request, or none where the block was asked before).

        Raises:
            Refused: `no_code`: there is no contract at the address.
            ReadFailed: Nothing was learned.
        """
        found = await self._code_hash(at)
        if found is None:
            raise Refused(f"code of {self._address} at {at.height}", "no_code")
        if self._kept and self._kept.terms.code_hash != found:
            log.warning("contract_code_changed", was=self._kept.terms.code_hash, now=found, height=at.height)
            self._kept = None
        return found

    async def check_code(self, at: Head) -> str:
        """The code hash at a block.

        Raises:
            ConfigError: The address has no code there.
            ReadFailed: Nothing was learned.
        """
        found = await self._code_hash(at)
        if found is None:
            problem = f"{self._address} is no contract at block {at.height} of {self._substrate.genesis}"
            raise ConfigError("contract.address", problem, NO_CODE_REMEDY)
        told = self._calls.metadata.code_hash
        if told and told != found:
            log.warning("metadata_of_other_code", metadata=told, chain=found, file=self._calls.metadata.where)
        return found

    async def _code_hash(self, at: Head) -> str | None:
        info = await self._substrate.storage("Contracts", "ContractInfoOf", [self._address], at.hash)
        if info is None:
            return None
        code_hash = _hex(info["code_hash"]) if isinstance(info, dict) and "code_hash" in info else ""
        if len(code_hash) != 66:
            raise ReadFailed(f"code of {self._address}", "`ContractInfoOf` has no `code_hash` of 32 bytes")
        return code_hash


def _hex(value: object) -> str:
    """`0x` + hex of what a storage reader may give for 32 bytes; empty for anything else."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    match value:
        case str():
            return value.lower()
        case bytes() | bytearray():
            return "0x" + value.hex()
        case list() | tuple() if all(isinstance(byte, int) and 0 <= byte < 256 for byte in value):
            return "0x" + bytes(value).hex()
        case _:
            return ""
