"""Each precondition of a miner's own business is told: whether it holds, and what makes it hold."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.affairs.judge import AffairFacts, AffairRuling, QuoteFacts, judge_affair
from miner.model import Came, MinerStanding, Verb

TAO = 10**9
STANDING = MinerStanding(
    miner="5Hot", height=1_000, collateral=10 * TAO, minimum=TAO, maximum=20 * TAO, active=False,
    has_swap=False, reserved_until=0, deactivation_block=500, timeout_blocks=150, votes=1, votes_needed=2,
    halted=False,
)  # fmt: skip
AFFAIRS = [verb for verb in Verb if verb.is_affair]


def facts(amount: int = TAO, spendable: int = 50 * TAO, **changes: Any) -> AffairFacts:
    standing = {name: changes.pop(name) for name in list(changes) if name in MinerStanding.__slots__}
    return AffairFacts(
        name="alice",
        standing=replace(STANDING, **standing),
        amount=amount,
        spendable=spendable,
        fee=5,
        **changes,
    )


def missing(ruling: AffairRuling) -> list[str]:
    return [each.text for each in ruling.conditions if each.holds is False]


def test_a_deposit_may_be_made() -> None:
    ruling = judge_affair(Verb.DEPOSIT, facts())
    assert (ruling.came, missing(ruling)) == (Came.WOULD, [])
    assert "which makes 11 TAO" in ruling.text


def test_a_withdrawal_may_be_made_when_all_holds() -> None:
    assert judge_affair(Verb.WITHDRAW, facts(spendable=5)).came is Came.WOULD


@pytest.mark.parametrize(
    ("verb", "changes", "told", "remedy"),
    [
        (Verb.DEPOSIT, {"amount": 0}, "above zero", ""),
        (Verb.DEPOSIT, {"halted": True}, "halted", ""),
        (Verb.DEPOSIT, {"amount": 11 * TAO}, "at most 20 TAO", ""),
        (Verb.DEPOSIT, {"spendable": TAO}, "needs 1.000000005 TAO", "send 0.000000005 TAO to 5Hot"),
        (Verb.DEPOSIT, {"reserved": 50 * TAO}, "set aside", "send 1.000000005 TAO to 5Hot"),
        (Verb.DEPOSIT, {"under_way": "0xab"}, "not final yet: 0xab", "wait"),
        (Verb.DEPOSIT, {"stopped": "nonce 9"}, "stopped: nonce 9", "swap-miner resume --account 5Hot"),
        (Verb.WITHDRAW, {"active": True}, "it is active", "swap-miner deactivate --miner alice --yes"),
        (Verb.WITHDRAW, {"deactivation_block": 701}, "ends at block 1001", "ask again at block 1001"),
        (Verb.WITHDRAW, {"reserved_until": 1_010}, "until block 1010 (10 blocks", "ask again after 1010"),
        (Verb.WITHDRAW, {"has_swap": True}, "open swap", "swap-miner swaps"),
        (Verb.WITHDRAW, {"amount": 11 * TAO}, "its collateral is 10 TAO", ""),
        (Verb.WITHDRAW, {"spendable": 4}, "needs 0.000000005 TAO", "send"),
        (Verb.DEACTIVATE, {"active": True, "amount": 0, "spendable": 0}, "needs", "send"),
        (Verb.ACTIVATE, {"collateral": TAO // 2}, "1 TAO is needed", "swap-miner collateral deposit"),
        (Verb.ACTIVATE, {"halted": True}, "halted", ""),
    ],
)  # fmt: skip
def test_what_does_not_hold_refuses_and_says_what_would_help(
    verb: Verb, changes: dict[str, Any], told: str, remedy: str
) -> None:
    ruling = judge_affair(verb, facts(**changes))
    assert ruling.came is Came.REFUSED
    (text,) = missing(ruling)
    assert told in text
    assert text in ruling.text
    assert remedy in ruling.remedy
    assert bool(remedy) == bool(ruling.remedy)


def test_a_quote_is_judged_as_users_read_it() -> None:
    good = QuoteFacts(text="v1:…", committed="v1:other", means="a user who pays 1 TAO receives 0.1 BTC")
    may = judge_affair(Verb.QUOTE, facts(amount=0, quote=good))
    assert (may.came, may.text, missing(may)) == (Came.WOULD, good.means, [])
    again = judge_affair(Verb.QUOTE, facts(amount=0, quote=replace(good, committed=good.text)))
    assert (again.came, again.text) == (Came.NOTHING, "it is committed already: v1:…")
    bad = judge_affair(Verb.QUOTE, facts(amount=0, quote=replace(good, problems=("its btc address is x",))))
    assert (bad.came, bad.text) == (Came.REFUSED, "its btc address is x")
    assert "swap-miner quote set" in bad.remedy
    poor = judge_affair(Verb.QUOTE, facts(amount=0, spendable=4, quote=good))
    assert (poor.came, "needs 0.000000005 TAO" in poor.text) == (Came.REFUSED, True)
    assert judge_affair(Verb.QUOTE, facts(amount=0)).came is Came.REFUSED


def test_the_cooldown_ends_exactly_at_its_block() -> None:
    for height, may in ((799, False), (800, True)):
        ruling = judge_affair(Verb.WITHDRAW, facts(height=height))
        assert (ruling.came is Came.WOULD) is may


def test_the_contracts_own_word_counts() -> None:
    ruling = judge_affair(Verb.WITHDRAW, facts(refusal="TransferFailed"))
    assert ruling.came is Came.REFUSED
    assert "TransferFailed" in ruling.text


def test_what_is_so_already_is_nothing_to_do() -> None:
    assert judge_affair(Verb.DEACTIVATE, facts()).text == "it is not active since block 500"
    assert judge_affair(Verb.DEACTIVATE, facts(deactivation_block=0)).text == "it is not active"
    assert judge_affair(Verb.ACTIVATE, facts(active=True)).came is Came.NOTHING


def test_activation_is_the_validators() -> None:
    ruling = judge_affair(Verb.ACTIVATE, facts())
    assert ruling.came is Came.NOTHING
    assert "1 of 2 have voted" in ruling.text
    unknown = judge_affair(Verb.ACTIVATE, facts(votes=None, votes_needed=None, collateral=None))
    assert "some of enough have voted" in unknown.text


def test_what_a_contract_does_not_tell_is_left_to_its_dry_run() -> None:
    silent: Any = {field: None for field in MinerStanding.__slots__ if field not in ("miner", "height")}
    for verb in (Verb.DEPOSIT, Verb.WITHDRAW, Verb.DEACTIVATE):
        ruling = judge_affair(verb, facts(**silent))
        assert ruling.came is Came.WOULD, verb
        assert ruling.text


@given(
    st.sampled_from(AFFAIRS),
    st.fixed_dictionaries(
        {
            "amount": st.sampled_from([0, 1, TAO, 30 * TAO]),
            "spendable": st.sampled_from([0, TAO, 50 * TAO]),
            "reserved": st.sampled_from([0, TAO, 90 * TAO]),
            "active": st.sampled_from([None, False, True]),
            "has_swap": st.sampled_from([None, False, True]),
            "halted": st.sampled_from([None, False, True]),
            "reserved_until": st.sampled_from([None, 0, 1_000, 1_001]),
            "deactivation_block": st.sampled_from([None, 0, 700, 701, 999]),
            "timeout_blocks": st.sampled_from([None, 150]),
            "collateral": st.sampled_from([None, 0, TAO, 20 * TAO]),
            "under_way": st.sampled_from(["", "0xab"]),
            "stopped": st.sampled_from(["", "nonce 9"]),
            "refusal": st.sampled_from(["", "X"]),
        }
    ),
)
def test_nothing_is_sent_that_takes_what_is_set_aside_or_that_a_known_condition_forbids(
    verb: Verb, changes: dict[str, Any]
) -> None:
    told = facts(**changes)
    ruling = judge_affair(verb, told)
    assert ruling.text
    if ruling.came is not Came.WOULD:
        return
    assert verb is not Verb.ACTIVATE
    assert all(each.holds is not False for each in ruling.conditions)
    out = told.amount if verb is Verb.DEPOSIT else 0
    assert told.spendable - told.reserved >= out + told.fee
    assert (told.under_way, told.stopped, told.refusal) == ("", "", "")
    if verb is Verb.WITHDRAW:
        standing = told.standing
        assert not any((standing.active, standing.has_swap, standing.reserved))
        assert standing.cooldown_left == 0
