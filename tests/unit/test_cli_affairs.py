"""The commands on a miner's own business: what they print, and their exit codes."""

from __future__ import annotations

from typing import Any

from miner.affairs.judge import about
from miner.affairs.wallet import Purse
from miner.amounts import Chain
from miner.app.affairs import Committed, Quotes
from miner.errors import Refused
from miner.model import MinerStanding
from tests.unit.cli_world import World
from tests.unit.config_files import ALICE
from tests.unit.test_cli import run, world

__all__ = ["run", "world"]

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
