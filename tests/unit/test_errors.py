"""One tree of errors; each answers whether it took effect, in words that name what happened."""

import re
from itertools import permutations

import pytest

from miner import errors
from miner.errors import (
    ConfigError,
    Discarded,
    EffectError,
    InvariantBroken,
    LeaseLost,
    MinerError,
    NotSent,
    NotYet,
    OutcomeUnknown,
    ReadFailed,
    Refused,
    SchemaTooOld,
    SlotTaken,
    StaleSaga,
    StoreDamaged,
    StoreError,
    StoreUnavailable,
)

TREE: dict[type[Exception], set[type[Exception]]] = {
    MinerError: {ConfigError, ReadFailed, EffectError, StoreError, InvariantBroken},
    ReadFailed: {Discarded},
    EffectError: {NotSent, OutcomeUnknown, Refused},
    NotSent: {NotYet},
    StoreError: {LeaseLost, StaleSaga, SlotTaken, SchemaTooOld, StoreDamaged, StoreUnavailable},
}


def defined() -> set[type[Exception]]:
    classes = (value for value in vars(errors).values() if isinstance(value, type))
    return {value for value in classes if issubclass(value, Exception)}


def test_the_tree_is_whole() -> None:
    assert MinerError.__bases__ == (Exception,)
    for error in defined() - {MinerError}:
        (parent,) = error.__bases__
        assert error in TREE[parent], f"{error.__name__} is under {parent.__name__}"
    assert set().union(*TREE.values()) | {MinerError} == defined()


def test_the_tree_in_the_docstring_is_that_tree() -> None:
    shown = re.findall(r"[├└] (\w+)", errors.__doc__ or "")
    assert sorted(shown) == sorted(error.__name__ for error in defined() - {MinerError})


def test_no_error_says_both_that_it_took_effect_and_that_it_did_not() -> None:
    """A read teaches nothing, an effect is one of three, a store's refusal is none of them."""
    answers = (ReadFailed, NotSent, OutcomeUnknown, Refused, StoreError, InvariantBroken, ConfigError)
    for one, other in permutations(answers, 2):
        assert not issubclass(one, other)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            ConfigError("config.toml: miners[0].hotkey", "'x' is no SS58 address", "Write the public one"),
            "config.toml: miners[0].hotkey: 'x' is no SS58 address. Write the public one",
        ),
        (ReadFailed("swap 7 at block 120"), "could not read swap 7 at block 120: no answer"),
        (ReadFailed("swap 7", "it timed out"), "could not read swap 7: it timed out"),
        (NotSent("payout of swap 7"), "payout of swap 7"),
        (NotSent("payout of swap 7", "connection refused"), "payout of swap 7: connection refused"),
        (NotYet("message", "too many", 5), "message: too many"),
        (OutcomeUnknown("payout of swap 7", "reply lost"), "payout of swap 7: reply lost"),
        (Refused("mark of swap 7", "InvalidStatus"), "mark of swap 7: InvalidStatus"),
        (Refused("rate", "bad_rate", "'x'"), "rate: bad_rate ('x')"),
        (LeaseLost("saga/12"), "the lease on saga/12 is not held"),
        (LeaseLost("watch", "a1b2", 1750), "the lease on watch is held by a1b2 until 1750 ms"),
        (StaleSaga("saga 1 has moved on"), "saga 1 has moved on"),
        (InvariantBroken("a second payout"), "a second payout"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_the_message_holds_the_parts(error: MinerError, said: str) -> None:
    assert str(error) == said


def test_the_parts_are_kept() -> None:
    config = ConfigError("file", "problem", "remedy")
    assert (config.where, config.problem, config.remedy) == ("file", "problem", "remedy")
    read = ReadFailed("swap 7", "late")
    assert (read.what, read.cause) == ("swap 7", "late")
    refused = Refused("mark", "MinerNotActive", "at 120")
    assert (refused.what, refused.name, refused.detail) == ("mark", "MinerNotActive", "at 120")
    assert refused.cause == "MinerNotActive (at 120)"
    assert (NotYet("message", "too many", 5).after_s, NotYet("message", "", -1).after_s) == (5, 0)
    lease = LeaseLost("watch", "owner", 5)
    assert (lease.resource, lease.holder, lease.expires_at_ms) == ("watch", "owner", 5)
