"""Dry runs of the contract's messages, each one request to the node."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from miner.contract import runtime
from miner.contract.metadata import Metadata
from miner.contract.registry import Choice
from miner.contract.runtime import NO_ACCOUNT, Failed, Gas, Returned
from miner.contract.scale import CodecError, account_of
from miner.errors import ReadFailed
from miner.ports import Substrate

CALL_FAILED = "CALL_FAILED"
"""The chain or ink! stopped the call: trapped, out of gas, not understood."""
INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
"""The caller cannot pay, most often the storage deposit."""
UNKNOWN = "UNKNOWN"
"""The answer does not decode; an error variant that the metadata has not is such an answer."""

_NO_MONEY = frozenset(
    "Token.FundsUnavailable Token.OnlyProvider Token.BelowMinimum Token.NotExpendable "
    "StorageDepositNotEnoughFunds InsufficientBalance".split()
)

ErrorName = Callable[[int, bytes], str]
"""Name of a pallet's error by the pallet's index and the error's 4 bytes (`Contracts.OutOfGas`)."""


T = TypeVar("T")


class CallFailed(ReadFailed):
    """The node answered, and the answer is none of the contract: nothing was learned of what was asked.

    Attributes:
        name: `CALL_FAILED`, `INSUFFICIENT_BALANCE` or `UNKNOWN`.
    """

    def __init__(self, what: str, name: str, detail: str) -> None:
        super().__init__(what, f"{name}: {detail}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Answer:
    """A message's answer.

    Attributes:
        value: ink!'s `Ok`, decoded.
        gas: What a transaction of this call must allow.
    """

    value: object
    gas: Gas


class Calls:
    """Messages of one contract, by label."""

    def __init__(
        self,
        substrate: Substrate,
        metadata: Metadata,
        address: str,
        error_name: ErrorName | None,
        concurrency: int,
    ) -> None:
        """Nothing is asked of the node yet.

        Args:
            substrate: The node.
            metadata: The contract's.
            address: The contract's, SS58.
            error_name: Names pallet errors; numbers are shown without it.
            concurrency: Most requests under way at once, 1 or more.

        Raises:
            CodecError: The address is none.
        """
        self.metadata = metadata
        self._substrate = substrate
        self._account = account_of(address)
        self._error_name = error_name
        self._slots = asyncio.Semaphore(concurrency)
        self._width: int | None = None

    def has(self, label: str) -> bool:
        """Whether the contract has the message."""
        return label in self.metadata.messages

    async def ask(
        self,
        label: str,
        args: Mapping[str, object],
        at: str,
        origin: bytes = NO_ACCOUNT,
        *,
        keep_bad_text: bool = False,
        value: int = 0,
    ) -> Answer:
        """Dry-run a message.

        Args:
            label: The message; the metadata must have it.
            args: Values by argument label.
            at: Hash of the block on whose state it runs.
            origin: The caller.
            keep_bad_text: See `Reader`.
            value: What the caller sends along, smallest unit.

        Raises:
            CallFailed: The node answered that the call fails, or what does not decode.
            ReadFailed: The node did not answer, or not what a node answers.
            CodecError: An argument does not fit.
        """
        what = f"{label}({', '.join(map(str, args.values()))}) at {at}"
        data = self.metadata.call_data(label, args)
        async with self._slots:
            width = await self._balance_width(at)
            reply = await self._substrate.state_call(
                runtime.METHOD, runtime.request(origin, self._account, data, width, value), at
            )
        try:
            result = runtime.result(reply, width)
        except CodecError as exc:
            raise ReadFailed(what, f"the node's reply is no contract result ({exc})") from exc
        if isinstance(result, Failed):
            raise self._stopped(what, result)
        return self._answer(what, label, result, keep_bad_text)

    async def uint(self, label: str, at: str) -> int:
        """The integer that a message without arguments answers. Errors as for `ask`."""
        value = (await self.ask(label, {}, at)).value
        if not isinstance(value, int):
            raise CallFailed(label, UNKNOWN, f"{type(value).__name__} instead of an integer")
        return value

    async def _balance_width(self, at: str) -> int:
        if self._width is None:
            reply = await self._substrate.state_call(runtime.WIDTH_METHOD, runtime.WIDTH_REQUEST, at)
            try:
                self._width = runtime.width_of(reply)
            except CodecError as exc:
                raise ReadFailed("the width of the chain's Balance", str(exc)) from exc
        return self._width

    def _stopped(self, what: str, failed: Failed) -> CallFailed:
        name = failed.name
        if failed.module is not None:
            name = (self._error_name or _numbers)(*failed.module)
        no_money = name in _NO_MONEY or name.rpartition(".")[2] in _NO_MONEY
        return CallFailed(what, INSUFFICIENT_BALANCE if no_money else CALL_FAILED, name)

    def _answer(self, what: str, label: str, result: Returned, keep_bad_text: bool) -> Answer:
        message = self.metadata.messages[label]
        try:
            value = self.metadata.types.decode(message.returns, result.data, keep_bad_text=keep_bad_text)
        except CodecError as exc:
            raise CallFailed(what, UNKNOWN, f"the answer does not decode ({exc})") from exc
        if not isinstance(value, Choice) or value.name != "Ok":
            raise CallFailed(what, CALL_FAILED, f"ink! did not run the message ({_error(value)})")
        if result.reverted and not (isinstance(value.value, Choice) and value.value.name == "Err"):
            raise CallFailed(what, UNKNOWN, "reverted without an error")
        return Answer(value.value, result.gas)


def _numbers(pallet: int, error: bytes) -> str:
    return f"pallet {pallet} error 0x{error.hex()}"


def _error(value: object) -> str:
    inner = value.value if isinstance(value, Choice) else value
    return f"LangError {inner.name}" if isinstance(inner, Choice) else repr(inner)


async def gathered(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Results of works that run together, in order. The first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work, name="contract-read") for work in works]
    except BaseExceptionGroup as failures:
        unexpected = [e for e in failures.exceptions if not isinstance(e, ReadFailed)]
        first = (unexpected or failures.exceptions)[0]
        raise first from first.__cause__
    return [task.result() for task in tasks]
