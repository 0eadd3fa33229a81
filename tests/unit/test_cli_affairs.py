"""The commands on a miner's own business: what they print, and their exit codes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from miner.affairs.holdings import Committed, Quotes
from miner.affairs.judge import about
from miner.affairs.wallet import Purse
from miner.amounts import Chain
from miner.errors import Refused
from miner.model import (
    NO_SWAP,
    Attempt,
    AttemptKind,
    Came,
    Lane,
    LanePurpose,
    LaneState,
    MinerStanding,
    Outcome,
    SignedTx,
    Verb,
)
from tests.unit.cli_world import CANARY, TAO, World
from tests.unit.config_files import ALICE, BOB
from tests.unit.test_cli import filled, run, world

__all__ = ["filled", "run", "world"]

BTC = "bcrt1qminer"
PURSE = Purse(
    miner="alice", chain=Chain.TAO, account=ALICE, role="payouts", balance=5 * 10**9, reserved=2 * 10**9,
    owed=6 * 10**9, open_swaps=2,
)  # fmt: skip
STANDING = MinerStanding(
    miner=ALICE, height=1_000, collateral=10**10, minimum=10**8, maximum=0, active=False, has_swap=False,
    reserved_until=0, deactivation_block=900, timeout_blocks=150, votes=1, votes_needed=2, halted=False,
)  # fmt: skip
QUOTE = f"v1:btc:{BTC}:tao:{ALICE}:345:350"


def committed(text: str | None = QUOTE, problem: str = "") -> Committed:
    return Committed("alice", ALICE, {Chain.TAO: ALICE, Chain.BTC: BTC}, text, 77 if text else 0, problem)


class TestWallet:
    def test_the_table(self, world: World, run: Any) -> None:
        world.wired.purses = [PURSE]
        ran = run("wallet")
        assert ran.code == 0
        for told in ("5 TAO", "2 TAO", "3 TAO", "6 TAO", "1 TAO missing for what is open"):
            assert told in ran.out

    def test_amounts_in_json_are_texts(self, world: World, run: Any) -> None:
        world.wired.purses = [PURSE]
        (row,) = run("wallet", "--json").json["accounts"]
        assert (row["balance"], row["spendable"], row["obligations"]) == (
            "5000000000",
            "3000000000",
            "6000000000",
        )
        assert (row["open_swaps"], row["short"]) == (2, "1000000000")

    def test_what_could_not_be_read_is_told_and_is_exit_code_1(self, world: World, run: Any) -> None:
        world.wired.purses = [
            Purse(miner="a", chain=Chain.BTC, account=BTC, role="payouts", problem="no answer")
        ]
        ran = run("wallet")
        assert ran.code == 1
        assert "no answer" in ran.out
        assert run("wallet", "--json").json["accounts"][0]["balance"] is None


class TestCollateral:
    def test_a_cooldown_ends_at_a_block(self, world: World, run: Any) -> None:
        world.wired.standing = [("alice", STANDING)]
        ran = run("collateral", "view")
        assert ran.code == 0
        for told in (
            "10 TAO",
            "no limit",
            "in block 900",
            "ends at block 1200 (200 blocks left, about 40 min)",
        ):
            assert told in ran.out
        (row,) = run("collateral", "view", "--json").json["miners"]
        assert (row["cooldown_ends"], row["cooldown_blocks_left"], row["collateral"]) == (
            1200,
            200,
            "10000000000",
        )

    def test_what_the_contract_does_not_tell_is_not_made_up(self, world: World, run: Any) -> None:
        world.wired.standing = [("alice", MinerStanding(miner=ALICE, height=5))]
        assert "this contract does not tell" in run("collateral", "view").out
        assert run("collateral", "view", "--json").json["miners"][0]["collateral"] is None

    def test_what_was_sent_is_told_until_it_is_final(self, world: World, run: Any) -> None:
        world.wired.standing = [("alice", STANDING)]
        tx = SignedTx("0x" + "ab" * 32, CANARY, 1, 10, 34, ("7",))
        lane = Lane(
            1, TAO, ALICE, "7", LanePurpose.AFFAIR, None, BOB, 2 * 10**9, LaneState.SIGNED,
            (Attempt(0, AttemptKind.CALL, tx, 0),),
        )  # fmt: skip
        for state in LaneState:
            world.wired.sent = [replace(lane, state=state)]
            ran = run("collateral", "view")
            assert f"{tx.txid}: nonce 7, 2 TAO" in ran.out
            assert CANARY.decode() not in ran.out
        (row,) = run("collateral", "view", "--json").json["miners"]
        assert [each["state"] for each in row["sent"]] == ["dead"]

    def test_how_long_blocks_take(self) -> None:
        assert about(1) == "1 block left, about 1 min"
        assert about(325) == "325 blocks left, about 1 h 5 min"


class TestQuote:
    def test_each_field_and_what_users_receive(self, world: World, run: Any) -> None:
        world.wired.quoted = Quotes([committed()], 100, 90)
        ran = run("quote", "show")
        assert (ran.code, ran.err) == (0, "")
        for told in (
            "committed in block 77",
            "btc → tao: rate 345 TAO per BTC",
            "a user who pays 0.01 BTC receives 3.4155 TAO",
            "tao → btc: rate 350 TAO per BTC",
            "a user who pays 1 TAO receives 0.00282857 BTC",
        ):
            assert told in ran.out

    def test_a_text_that_is_no_quote_is_exit_code_1(self, world: World, run: Any) -> None:
        world.wired.quoted = Quotes([committed("v1:btc:a:tao:b:NaN:1")], 100, 90)
        ran = run("quote", "show", "--json")
        assert ran.code == 1
        (row,) = ran.json["miners"]
        assert (row["valid"], row["problems"]) == (False, ["bad_quote (rate 'NaN' is not finite)"])

    def test_other_addresses_than_the_configured_ones_are_told(self, world: World, run: Any) -> None:
        world.wired.quoted = Quotes([committed(QUOTE.replace(BTC, "bcrt1qother"))], 100, 90)
        ran = run("quote", "show")
        assert ran.code == 1
        assert f"its btc address is bcrt1qother, and the daemon pays from {BTC}" in ran.out

    def test_a_text_that_is_not_committed_is_judged(self, world: World, run: Any) -> None:
        world.wired.quoted = Quotes([committed(None)], 100, 90)
        assert run("quote", "show").code == 1
        assert run("quote", "show", "--text", QUOTE).code == 0
        off = run("quote", "show", "--text", QUOTE.replace(":345:350", ":0:0"))
        assert off.code == 1
        assert "both directions are switched off" in off.out
        fast = run("quote", "show", "--text", QUOTE.replace(":345:", ":3e2:"))
        assert "swaps btc to tao would be refused" in fast.out
        strange = run("quote", "show", "--text", f"v1:doge:D:tao:{ALICE}:1:1")
        assert "'doge' is no chain that a swap may name" in strange.out

    def test_a_chain_without_the_pallet_says_so(self, world: World, run: Any) -> None:
        world.wired.quoted = Refused("quotes", "no_commitments", "the chain's runtime has no `Commitments`")
        ran = run("quote", "show")
        assert ran.code == 1
        assert "has no `Commitments`" in ran.err


class TestQuoteSet:
    def test_the_settings_addresses_and_the_two_rates(self, world: World, run: Any) -> None:
        assert run("quote", "set", "--btc-to-tao", "345", "--tao-to-btc", "0").code == 0
        (asked,) = world.wired.asked
        assert (asked.verb, asked.account, asked.amount) == (Verb.QUOTE, ALICE, 0)
        assert asked.text == f"v1:btc:bcrt1qalice:tao:{BOB}:345:0"

    def test_a_whole_text_goes_as_it_is(self, world: World, run: Any) -> None:
        run("quote", "set", "--text", QUOTE, "--yes")

        async def rows(store: Any) -> Any:
            return await store.requests(range(1, 5))

        (request,) = world.with_store(rows)
        assert request.asked.text == QUOTE

    @pytest.mark.parametrize(
        ("words", "told"),
        [
            ((), "give both rates, or the whole quote"),
            (("--btc-to-tao", "345"), "0 switches that direction off"),
            (("--btc-to-tao", "345", "--text", QUOTE), "give both rates, or the whole quote"),
        ],
    )
    def test_what_is_missing_is_wrong_usage(
        self, world: World, run: Any, words: tuple[str, ...], told: str
    ) -> None:
        ran = run("quote", "set", *words)
        assert (ran.code, world.wired.asked) == (2, [])
        assert told in " ".join(ran.err.split())

    @pytest.mark.parametrize("rate", ["NaN", "-1", "much", "Infinity"])
    def test_what_users_could_not_read_is_not_asked_for(self, world: World, run: Any, rate: str) -> None:
        ran = run("quote", "set", "--btc-to-tao", rate, "--tao-to-btc", "1", "--yes")
        assert (ran.code, world.wired.asked) == (1, [])
        assert f"rate '{rate}'" in ran.err


class TestAsking:
    def test_a_dry_run_tells_each_condition(self, world: World, run: Any) -> None:
        conditions = [{"holds": True, "text": "it is idle"}, {"holds": None, "text": "nobody knows"}]
        world.wired.outcome = Outcome(
            swap_id=NO_SWAP, came=Came.WOULD, text="it can be done", detail={"conditions": conditions}
        )
        ran = run("collateral", "deposit", "1.5 TAO", "--miner", "alice")
        assert ran.code == 0
        assert ran.out.splitlines()[0] == "  ok  it is idle"
        assert ran.out.splitlines()[1] == "  ?   nobody knows"
        assert "would deposit: it can be done" in ran.out
        assert ran.out.splitlines()[-1] == "a dry run, nothing was done; do it with --yes"
        (asked,) = world.wired.asked
        assert (asked.verb, asked.account, asked.amount, asked.swap_id) == (
            Verb.DEPOSIT,
            ALICE,
            1_500_000_000,
            NO_SWAP,
        )

    def test_a_dry_run_makes_no_store(self, world: World, run: Any) -> None:
        run("deactivate")
        assert not world.settings.store.file.exists()

    def test_with_yes_it_is_a_row_that_is_answered(self, world: World, run: Any) -> None:
        ran = run(
            "collateral", "withdraw", "2 TAO", "--yes", "--reason", "why not", "--actor", "bob", "--json"
        )
        assert ran.code == 0
        told = ran.json
        assert (told["outcome"], told["dry_run"], told["hotkey"]) == ("done", False, ALICE)

        async def rows(store: Any) -> Any:
            return await store.requests(range(1, 5))

        (request,) = world.with_store(rows)
        asked = request.asked
        assert (asked.verb, asked.amount, asked.actor, asked.reason) == (
            Verb.WITHDRAW,
            2_000_000_000,
            "operator:bob",
            "why not",
        )

    def test_a_refusal_is_exit_code_1_with_what_would_help(self, world: World, run: Any) -> None:
        bad = [{"holds": False, "text": "it is active"}]
        world.wired.outcome = Outcome(
            swap_id=NO_SWAP,
            came=Came.REFUSED,
            text="it is active",
            remedy="swap-miner deactivate --yes",
            detail={"conditions": bad},
        )
        ran = run("collateral", "withdraw", "2 TAO")
        assert ran.code == 1
        assert "  NO  it is active" in ran.out
        assert "refused to withdraw: it is active" in ran.err
        assert "next: swap-miner deactivate --yes" in ran.err
        assert run("activate").code == 1

    def test_a_daemon_that_does_not_answer_is_told(self, world: World, run: Any) -> None:
        world.wired.answers = False
        ran = run("deactivate", "--yes", "--wait", "1")
        assert ran.code == 1
        assert "the request is withdrawn and nothing was done" in ran.err

    def test_what_is_no_amount_is_wrong_usage(self, world: World, run: Any) -> None:
        for text in ("2", "2 BTC", "much"):
            ran = run("collateral", "deposit", text)
            assert ran.code == 2
            assert "AMOUNT" in ran.err
        assert world.wired.asked == []


class TestDrain:
    def test_a_dry_run_tells_what_is_left(self, filled: World, run: Any) -> None:
        filled.wired.standing = [("alice", replace(STANDING, active=True))]
        ran = run("drain")
        assert ran.code == 0
        for told in ("a dry run", "3 open swaps", "1 transaction not final", "alice is active"):
            assert told in ran.out
        assert run("status", "--json").json["paused"] == []

    def test_with_yes_it_is_asked_for_until_resume(self, filled: World, run: Any) -> None:
        found = run("drain", "--yes", "--json").json
        assert (found["draining"], found["changed"], found["deactivated"]) == (True, True, [])
        assert run("status", "--json").json["paused"] == ["drain"]
        assert run("drain", "--yes", "--json").json["changed"] is False
        assert "resumed all" in run("resume").out
        assert run("status", "--json").json["paused"] == []

    def test_active_miners_are_deactivated_where_asked(self, filled: World, run: Any) -> None:
        filled.wired.standing = [("alice", replace(STANDING, active=True)), ("bob", STANDING)]
        assert run("drain", "--deactivate", "--json").json["deactivated"] == []
        found = run("drain", "--deactivate", "--yes", "--json").json
        assert found["deactivated"] == ["it is done"]
        assert [asked.verb for asked in filled.wired.asked] == [Verb.DEACTIVATE]
