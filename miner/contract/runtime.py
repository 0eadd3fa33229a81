"""The runtime API `ContractsApi.call`: its arguments and its result.

Source: `ContractResult`, `ExecReturnValue` and `StorageDeposit` of pallet-contracts, `DispatchError` of
sp-runtime. The width of the chain's `Balance` is no part of the reply and is asked of the chain.
"""

from __future__ import annotations

from dataclasses import dataclass

from miner.contract.scale import CodecError, Reader, blob, uint

METHOD = "ContractsApi_call"

WIDTH_METHOD = "TransactionPaymentApi_query_length_to_fee"
"""Answers one bare `Balance`: the length of the reply is its width."""
WIDTH_REQUEST = bytes(4)
WIDTHS = (8, 16)

REVERT = 1
"""Flag of an answer whose effects were rolled back."""

NO_ACCOUNT = bytes(32)
"""Origin of reads."""


@dataclass(frozen=True, slots=True)
class Gas:
    """A weight.

    Attributes:
        ref_time: Picoseconds of a reference machine.
        proof_size: Bytes of proof.
    """

    ref_time: int
    proof_size: int

    def times(self, numerator: int, denominator: int) -> Gas:
        """Scaled, rounded up."""
        ref_time, proof_size = self.ref_time * numerator, self.proof_size * numerator
        return Gas(-(-ref_time // denominator), -(-proof_size // denominator))

    def capped(self, cap: Gas) -> Gas:
        """No more than `cap` in either part."""
        return Gas(min(self.ref_time, cap.ref_time), min(self.proof_size, cap.proof_size))

    def union(self, other: Gas) -> Gas:
        """The larger of either part."""
        return Gas(max(self.ref_time, other.ref_time), max(self.proof_size, other.proof_size))


@dataclass(frozen=True, slots=True)
class Returned:
    """The contract ran to its end.

    Attributes:
        gas: What a transaction of this call must allow.
        reverted: Whether its effects were rolled back.
        data: The encoded answer.
    """

    gas: Gas
    reverted: bool
    data: bytes


@dataclass(frozen=True, slots=True)
class Failed:
    """The chain stopped the call.

    Attributes:
        name: Variant of `DispatchError`, with that of its detail (`Token.FundsUnavailable`).
        module: For `Module`: the pallet's index and its error's 4 bytes.
    """

    name: str
    module: tuple[int, bytes] | None = None


_DISPATCH = (
    "Other CannotLookup BadOrigin Module ConsumerRemaining NoProviders TooManyConsumers Token Arithmetic "
    "Transactional Exhausted Corruption Unavailable RootNotAllowed Trie"
).split()
_DETAILS = {
    "Token": (
        "FundsUnavailable OnlyProvider BelowMinimum CannotCreate UnknownAsset Frozen Unsupported "
        "CannotCreateHold NotExpendable Blocked"
    ).split(),
    "Arithmetic": "Underflow Overflow DivisionByZero".split(),
    "Transactional": "LimitReached NoLayer".split(),
    "Trie": (
        "InvalidStateRoot IncompleteDatabase ValueAtIncompleteKey DecoderError InvalidHash DuplicateKey "
        "ExtraneousNode ExtraneousValue ExtraneousHashReference InvalidChildReference ValueMismatch "
        "IncompleteProof RootMismatch DecodeError"
    ).split(),
}


def request(origin: bytes, dest: bytes, data: bytes, width: int, value: int = 0) -> bytes:
    """Arguments of a call, with the block's gas and no deposit limit.

    Args:
        origin: Calling account.
        dest: The contract's account.
        data: Selector and arguments.
        width: Bytes of the chain's `Balance`.
        value: What the caller sends along, smallest unit.
    """
    no_limit = b"\x00"
    return origin + dest + uint(value, width) + no_limit + no_limit + blob(data)


def width_of(reply: bytes) -> int:
    """Bytes of the chain's `Balance`, from the reply to `WIDTH_METHOD`.

    Raises:
        CodecError: It is of no known width.
    """
    if len(reply) not in WIDTHS:
        raise CodecError(f"a Balance of {len(reply)} bytes is not known")
    return len(reply)


def result(reply: bytes, width: int) -> Returned | Failed:
    """Decode the reply. The events after the result, where there are any, are not read.

    Raises:
        CodecError: It does not decode.
    """
    reader = Reader(reply)
    reader.compact(), reader.compact()  # gas consumed
    gas = Gas(reader.compact(), reader.compact())
    if reader.uint(1) > 1:
        raise CodecError("unknown storage deposit")
    reader.uint(width)
    reader.take(reader.length())  # debug message
    answer: Returned | Failed
    if reader.boolean():
        answer = _failed(reader)
    else:
        flags = reader.uint(4)
        answer = Returned(gas, bool(flags & REVERT), reader.take(reader.length()))
    if reader.left and not reader.boolean():
        reader.finish()
    return answer


def _failed(reader: Reader) -> Failed:
    name = _named(reader, _DISPATCH)
    if name == "Module":
        return Failed(name, (reader.uint(1), reader.take(4)))
    if name in _DETAILS:
        return Failed(f"{name}.{_named(reader, _DETAILS[name])}")
    return Failed(name)


def _named(reader: Reader, names: list[str]) -> str:
    index = reader.uint(1)
    return names[index] if index < len(names) else f"variant {index}"
