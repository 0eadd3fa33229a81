"""What the daemon needs of a swap contract, and whether its metadata has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from miner.contract import metadata as ink
from miner.contract.metadata import Metadata
from miner.contract.registry import UINTS, Composite, Primitive, Registry, Sequence, Tuple, Variant
from miner.contract.scale import CodecError
from miner.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Plain:
    """A type by its word: `integer` (unsigned, any width), `text`, `bool`, `account`, `nothing`."""

    word: str


@dataclass(frozen=True, slots=True)
class Struct:
    """A struct that has at least these fields."""

    fields: Mapping[str, Shape]


@dataclass(frozen=True, slots=True)
class Enum:
    """An enum that has at least these variants, without fields."""

    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class Option:
    """An `Option`."""

    of: Shape


@dataclass(frozen=True, slots=True)
class List:
    """A list of any length."""

    of: Shape


@dataclass(frozen=True, slots=True)
class Result:
    """A `Result` whose error is an enum."""

    of: Shape


Shape = Plain | Struct | Enum | Option | List | Result

INTEGER, TEXT, BOOL, ACCOUNT, NOTHING = map(Plain, ("integer", "text", "bool", "account", "nothing"))

STATUS = Enum(frozenset({"Active", "Fulfilled", "Completed", "TimedOut"}))

# fmt: off
SWAP = Struct({
    "id": INTEGER, "user": ACCOUNT, "miner": ACCOUNT, "source_chain": TEXT, "dest_chain": TEXT,
    "source_amount": INTEGER, "dest_amount": INTEGER, "tao_amount": INTEGER,
    "user_source_address": TEXT, "user_dest_address": TEXT,
    "miner_source_address": TEXT, "miner_dest_address": TEXT,
    "rate": TEXT, "source_tx_hash": TEXT, "source_tx_block": INTEGER,
    "dest_tx_hash": TEXT, "dest_tx_block": INTEGER, "status": STATUS,
    "initiated_block": INTEGER, "timeout_block": INTEGER, "fulfilled_block": INTEGER,
    "completed_block": INTEGER,
})
OUTCOME = Struct({
    "status": STATUS, "ended_block": INTEGER, "dest_tx_hash": TEXT, "slash_amount": INTEGER,
    "fee_amount": INTEGER,
})

Signature = tuple[Mapping[str, Shape], Shape]

REQUIRED: Mapping[str, Signature] = {
    "get_swap":                 ({"swap_id": INTEGER}, Option(SWAP)),
    "get_next_swap_id":         ({}, INTEGER),
    "get_fee_divisor":          ({}, INTEGER),
    "get_fulfillment_timeout":  ({}, INTEGER),
    "get_reservation_ttl":      ({}, INTEGER),
    "get_halted":               ({}, BOOL),
    "mark_fulfilled":           ({"swap_id": INTEGER, "dest_tx_hash": TEXT, "dest_tx_block": INTEGER,
                                  "dest_amount": INTEGER}, Result(NOTHING)),
}
"""Messages without which the daemon cannot work."""

OPTIONAL: Mapping[str, Signature] = {
    "get_swaps":                 ({"ids": List(INTEGER)}, List(Option(SWAP))),
    "get_active_swaps":          ({"miner": ACCOUNT, "offset": INTEGER, "limit": INTEGER}, List(SWAP)),
    "get_swap_outcome":          ({"swap_id": INTEGER}, Option(OUTCOME)),
    "get_max_active_swaps":      ({}, INTEGER),
    "get_miner_has_active_swap": ({"hotkey": ACCOUNT}, BOOL),
    "post_collateral":           ({}, Result(NOTHING)),
    "withdraw_collateral":       ({"amount": INTEGER}, Result(NOTHING)),
    "deactivate":                ({"miner": ACCOUNT}, Result(NOTHING)),
    "get_collateral":            ({"hotkey": ACCOUNT}, INTEGER),
    "get_min_collateral":        ({}, INTEGER),
    "get_max_collateral":        ({}, INTEGER),
    "get_miner_active":          ({"hotkey": ACCOUNT}, BOOL),
    "get_miner_reserved_until":  ({"miner": ACCOUNT}, INTEGER),
    "get_miner_deactivation_block": ({"miner": ACCOUNT}, INTEGER),
    "get_activation_vote_count": ({"miner": ACCOUNT}, INTEGER),
    "get_required_votes_count":  ({}, INTEGER),
}
"""Messages that are used where the metadata has them with these types, and done without elsewhere."""

EVENTS: Mapping[str, Mapping[str, Shape]] = {
    "SwapInitiated":        {"swap_id": INTEGER, "miner": ACCOUNT},
    "SwapFulfilled":        {"swap_id": INTEGER, "dest_tx_hash": TEXT},
    "SwapCompleted":        {"swap_id": INTEGER, "fee_amount": INTEGER},
    "SwapTimedOut":         {"swap_id": INTEGER, "slash_amount": INTEGER},
    "SwapTimeoutExtended":  {"swap_id": INTEGER, "new_timeout_block": INTEGER},
    "MinerReserved":        {"miner": ACCOUNT},
    "ConfigUpdated":        {},
}
"""Events the daemon acts on, and the fields it reads; all others are decoded as they come."""
# fmt: on


def load(path: Path) -> Metadata:
    """Read a metadata file and check that it has what the daemon needs.

    Returns:
        The metadata, without those optional messages whose types are not the known ones.

    Raises:
        ConfigError: The file cannot be used; names it, what is missing, and the remedy.
    """
    return check(ink.read(path))


def check(metadata: Metadata) -> Metadata:
    """Check that metadata has what the daemon needs. See `load`."""
    missing = [*_missing_messages(metadata), *_missing_events(metadata)]
    if missing:
        shown = "; ".join(missing[:5]) + (f"; and {len(missing) - 5} more" if len(missing) > 5 else "")
        raise ConfigError(metadata.where, f"the contract is no swap contract known here: {shown}", ink.REMEDY)
    unknown = {label for label, told in OPTIONAL.items() if _signature_problem(metadata, label, told)}
    messages = {label: message for label, message in metadata.messages.items() if label not in unknown}
    return Metadata(metadata.where, metadata.types, messages, metadata.events, metadata.code_hash)


def _missing_messages(metadata: Metadata) -> list[str]:
    problems = ((label, _signature_problem(metadata, label, told)) for label, told in REQUIRED.items())
    return [f"message `{label}`: {problem}" for label, problem in problems if problem]


def _missing_events(metadata: Metadata) -> list[str]:
    found = []
    for label, fields in EVENTS.items():
        event = metadata.event(label)
        have = dict(event.fields) if event else {}
        problem = _fields_problem(metadata.types, have, fields) if event else "is missing"
        if problem:
            found.append(f"event `{label}`: {problem}")
    return found


def _signature_problem(metadata: Metadata, label: str, told: Signature) -> str:
    message = metadata.messages.get(label)
    if message is None:
        return "is missing"
    args, answer = told
    unknown = [name for name, _ in message.args if name not in args]
    if unknown:
        return f"takes an unknown argument `{unknown[0]}`"
    return _fields_problem(metadata.types, dict(message.args), args) or _said(
        "its answer ", problem_of(metadata.types, message.answer, answer)
    )


def _fields_problem(types: Registry, have: Mapping[str, int], wanted: Mapping[str, Shape]) -> str:
    for name, shape in wanted.items():
        if name not in have:
            return f"`{name}` is missing"
        problem = problem_of(types, have[name], shape)
        if problem:
            return f"`{name}` {problem}"
    return ""


def problem_of(types: Registry, type_id: int, shape: Shape) -> str:
    """Why a type is not of a shape, in words; empty when it is."""
    try:
        return _problem_of(types, type_id, shape)
    except CodecError as exc:
        return f"does not read: {exc}"


def _problem_of(types: Registry, type_id: int, shape: Shape) -> str:
    kind = types[type_id]
    match shape, kind:
        case Plain(word), _:
            return "" if _is_plain(types, type_id, word) else f"is no {word}"
        case Struct(fields), Composite():
            have = {name: of for name, of in zip(kind.fields.names, kind.fields.types, strict=True) if name}
            return _said("field ", _fields_problem(types, have, fields))
        case Enum(names), Variant():
            return _said("has no variant ", ", ".join(sorted(names - kind.names)))
        case Option(of), Variant(("Option",)):
            some = kind.fields_of("Some")
            return problem_of(types, some.types[0], of) if some and some.types else "is no Option"
        case List(of), Sequence(inner):
            return problem_of(types, inner, of)
        case Result(of), Variant(("Result",)):
            return _result_problem(types, kind, of)
        case _:
            return f"is no {type(shape).__name__.lower()}"


def _is_plain(types: Registry, type_id: int, word: str) -> bool:
    kind = types[type_id]
    if word == "account":
        return types.is_account(type_id)
    if word == "nothing":
        return kind == Tuple(())
    if not isinstance(kind, Primitive):
        return False
    return kind.name in UINTS if word == "integer" else kind.name == {"text": "str", "bool": "bool"}[word]


def _result_problem(types: Registry, kind: Variant, of: Shape) -> str:
    ok, err = kind.fields_of("Ok"), kind.fields_of("Err")
    if ok is None or err is None or len(ok.types) != 1 or len(err.types) != 1:
        return "is no Result"
    if not isinstance(types[err.types[0]], Variant):
        return "has an error that is no enum"
    return problem_of(types, ok.types[0], of)


def _said(before: str, problem: str) -> str:
    return f"{before}{problem}" if problem else ""
