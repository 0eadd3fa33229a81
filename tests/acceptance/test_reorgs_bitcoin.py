"""Bitcoin's chain is reorganised, its mempool forgets, or somebody else spends the anchor: paid at most once.

The node is a real one in regtest, the contract's chain Chopsticks, the daemon the real process.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from tests.acceptance.harness import Stage
from tests.acceptance.histories import Play
from tests.devnet.driver import USERS_WALLET
from tests.devnet.terms import ChainName

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.timeout(900),
    pytest.mark.matrix("Reorgs and rivals: Bitcoin", "bitcoind in regtest, Chopsticks"),
]

FULL = pytest.mark.proof
FINAL = 6
"""Confirmations from which the daemon takes a stranger's spend for settled."""
FORGETFUL = ("-persistmempool=0", "-walletbroadcast=0")
"""A node that starts with an empty mempool, into which its wallets put nothing back."""


@pytest_asyncio.fixture(loop_scope="session")
async def play(stage: Stage, record_property: Callable[[str, object], None]) -> AsyncIterator[Play]:
    """A case of its own, paid in BTC; its daemon does not outlive it, and the node is left as it was."""
    node, miner = stage.devnet.bitcoin, stage.devnet.miners[0]
    await node.fund_many({miner.btc_address: 5 * 10**7})
    case = Play(stage, stage.config(), record_property, dest=ChainName.BTC)
    yield case
    await case.kill()
    if case.ledger.restarted:
        await node.restart()


# a payout in a block that is replaced


@pytest.mark.parametrize(
    ("when", "fate", "end", "saga", "payouts"),
    [
        pytest.param(when, fate, end, saga, payouts, id=f"payout-{when}-{fate}", marks=() if quick else FULL)
        for when, fate, end, saga, payouts, quick in (
            ("before-it-was-recorded", "back-in-the-mempool", "Completed", "COMPLETED", 1, False),
            ("before-it-was-recorded", "gone", "Completed", "COMPLETED", 1, False),
            ("before-it-was-recorded", "replaced-by-one-that-pays", "Completed", "COMPLETED", 1, False),
            (
                "before-it-was-recorded",
                "replaced-by-one-that-pays-nobody",
                "Completed",
                "COMPLETED",
                1,
                False,
            ),
            ("while-marking", "back-in-the-mempool", "Completed", "COMPLETED", 1, False),
            ("while-marking", "gone", "Completed", "COMPLETED", 1, True),
            ("while-marking", "replaced-by-one-that-pays", "Fulfilled", "MARKED", 1, False),
            ("while-marking", "replaced-by-one-that-pays-nobody", "Fulfilled", "HELD", 0, False),
            ("after-the-mark", "back-in-the-mempool", "Completed", "COMPLETED", 1, False),
            ("after-the-mark", "gone", "Completed", "COMPLETED", 1, False),
            ("after-the-mark", "replaced-by-one-that-pays", "Fulfilled", "MARKED", 1, False),
            ("after-the-mark", "replaced-by-one-that-pays-nobody", "Fulfilled", "HELD", 0, False),
        )
    ],
)
async def test_a_payout_in_a_replaced_block_is_made_once(
    play: Play, when: str, fate: str, end: str, saga: str, payouts: int
) -> None:
    """Before the mark the payout's id may still change; after it, it is frozen, and nothing is paid anew."""
    await play.start()
    await play.open()
    await play.until_broadcast()
    if when == "before-it-was-recorded":
        await play.kill()
        await play.stage.devnet.bitcoin.mine()
    else:
        await play.until_state("MARKING")
        if when == "after-the-mark":
            await play.until_state("MARKED")
    await play.ledger.reorganise(fate)
    if play.running is None:
        await play.start()
    if end == "Completed":
        await play.until_completed()
    else:
        await play.step(FINAL + 4)
    await play.judge(end=end, saga=saga, payouts=payouts)


@pytest.mark.proof
async def test_two_chains_compete_and_the_payout_confirms_on_either(play: Play) -> None:
    """`invalidateblock` and `reconsiderblock`: the branch with the payout loses, wins, and loses again."""
    node = play.stage.devnet.bitcoin
    await play.start()
    await play.open()
    await play.until_broadcast()
    await play.until_state("MARKING", "MARKED")
    ours = await play.ledger.block_of_payout()
    await node.invalidate(ours)
    other = await play.ledger.empty_blocks(2)
    await play.tao(2)
    await node.rpc("reconsiderblock", ours)
    await play.census()
    await node.invalidate(other[0])
    await play.ledger.empty_blocks(2)
    await play.tao(2)
    await play.census()
    await node.rpc("reconsiderblock", other[0])
    play.forks += 3
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")


# a mempool that forgets


@pytest.mark.parametrize(
    "how",
    [
        pytest.param("power-cut", id="mempool-lost-in-a-power-cut", marks=FULL),
        pytest.param("not-kept", id="mempool-not-kept-over-a-restart", marks=FULL),
        pytest.param("abandoned", id="payout-evicted-and-abandoned"),
        pytest.param("fee-floor", id="payout-evicted-below-the-fee-floor", marks=FULL),
    ],
)
async def test_a_payout_that_the_mempool_forgot_is_sent_again(play: Play, how: str) -> None:
    node, wallet = play.stage.devnet.bitcoin, play.stage.devnet.miners[0].btc_wallet
    await play.start()
    await play.open()
    txid = await play.until_broadcast()
    if how == "power-cut":
        await node.restart(kill=True)
    elif how == "fee-floor":
        await play.ledger.restart("-minrelaytxfee=0.01", "-blockmintxfee=0.01")
        assert txid not in await node.rpc("getrawmempool")
        await play.tao(4)
        await node.restart()
    else:
        await play.ledger.restart(*FORGETFUL)
        assert txid not in await node.rpc("getrawmempool")
        if how == "abandoned":
            await node.rpc("abandontransaction", txid, wallet=wallet)
    await play.until_completed()
    assert len(play.slots()) == 1
    await play.judge(end="Completed", saga="COMPLETED")


# somebody else spends the anchor


@pytest.mark.parametrize(
    ("effect", "end", "saga"),
    [
        pytest.param(effect, end, saga, id=f"anchor-spent-by-one-that-{effect}", marks=() if quick else FULL)
        for effect, end, saga, quick in (
            ("pays", "Completed", "COMPLETED", False),
            ("pays-otherwise", "Active", "HELD", False),
            ("pays-nobody", "Completed", "COMPLETED", False),
            ("pays-nobody-and-leaves-no-change", "Completed", "COMPLETED", False),
        )
    ],
)
async def test_whoever_spends_the_anchor_is_judged_by_what_it_paid(
    play: Play, effect: str, end: str, saga: str
) -> None:
    node = play.stage.devnet.bitcoin
    await play.start()
    await play.open()
    await play.until_broadcast()
    theirs = await play.ledger.rival(effect)
    if effect == "pays-nobody-and-leaves-no-change":
        await node.mine(FINAL)
        await play.until_reason("lane_not_settled")
        await play.census()
        assert play.most == 0, "nothing ties a new payout to what freed the old one"
        await node.mine(100)
    if saga == "HELD":
        await play.until_state("HELD")
        await play.step(12)
    else:
        await play.until_completed()
    if effect == "pays-nobody":
        assert play.slots()[1].startswith(theirs), "the new payout spends what took the old one's anchor"
    seen = await play.judge(end=end, saga=saga)
    if effect == "pays":
        assert seen.marked_id == theirs


async def test_an_external_fee_bump_that_pays_the_same_user_is_adopted(play: Play) -> None:
    node, wallet = play.stage.devnet.bitcoin, play.stage.devnet.miners[0].btc_wallet
    await play.start()
    await play.open()
    txid = await play.until_broadcast()
    bumped = (await node.rpc("bumpfee", txid, wallet=wallet))["txid"]
    await play.until_completed()
    seen = await play.judge(end="Completed", saga="COMPLETED")
    assert seen.marked_id == bumped
    play.record("noticed", "adopted")


@pytest.mark.parametrize(
    "ends",
    [pytest.param(False, id="pinned-payout-is-mined"), pytest.param(True, id="pinned-payout-is-cancelled")],
)
@pytest.mark.proof
async def test_a_payout_that_its_recipient_pinned(play: Play, ends: bool) -> None:
    """The recipient spends the unconfirmed payout, which makes it dear to replace: the filler out-pays it."""
    contract = play.stage.devnet.contract
    if ends:
        await contract.set_timeout(30)
    await play.start()
    await play.open()
    txid = await play.until_broadcast()
    await play.ledger.pin(txid)
    if not ends:
        await play.until_completed()
        await play.judge(end="Completed", saga="COMPLETED")
        return
    await play.tao(30)
    await play.stage.devnet.validators.timeout(play.swap_id)
    await play.until_left(lambda: play.state() == "WITHDRAWING", "WITHDRAWING")
    await play.until_state("COMPENSATED")
    await play.judge(end="TimedOut", saga="COMPENSATED", payouts=0)


# law 9


@pytest.mark.proof
async def test_a_spend_that_no_lane_explains_stops_first_sends(play: Play) -> None:
    node, miner = play.stage.devnet.bitcoin, play.stage.devnet.miners[0]
    await play.start()
    stray = await node.pay_from(miner.btc_wallet, miner.btc_address, {await node.new_address("bank"): 10**6})
    await play.step(11)
    (why,) = play.stopped()
    assert stray in why
    play.record("noticed", why[:80])
    await play.open()
    await play.step(4)
    await play.census()
    assert play.most == 0
    await play.stage.cli("resume", "--account", miner.btc_address)
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")


# the user's payment


@pytest.mark.parametrize(
    ("when", "fate"),
    [
        pytest.param(when, fate, id=f"users-payment-reorganised-{when}-{fate}", marks=() if quick else FULL)
        for when, fate, quick in (
            ("before-it-was-verified", "and-mined-again", False),
            ("before-it-was-verified", "and-double-spent", False),
            ("after-it-was-verified", "and-mined-again", False),
            ("after-it-was-verified", "and-double-spent", True),
            ("after-the-payout-left", "and-mined-again", False),
        )
    ],
)
async def test_a_users_payment_that_is_reorganised(play: Play, when: str, fate: str) -> None:
    """Nothing is paid for what is not there; what comes again, near its height, is good."""
    play.dest = ChainName.TAO
    node = play.stage.devnet.bitcoin
    await play.start()
    if when == "before-it-was-verified":
        await play.kill()
    elif when == "after-it-was-verified":
        await play.stage.cli("pause")
    opened = await play.open()
    if when == "after-it-was-verified":
        await play.until_left(lambda: play.state() == "VERIFIED", "VERIFIED")
    elif when == "after-the-payout-left":
        await play.until_left(lambda: bool(play.slots()), "a payout")
    depth = await node.height() - opened.payment.block + 1
    await node.reorganise(depth, empty=True)
    play.forks += 1
    if fate == "and-double-spent":
        await play.ledger.double_spend(opened.payment.tx_hash, USERS_WALLET)
    if when == "before-it-was-verified":
        await play.start()
    if when == "after-it-was-verified":
        await play.stage.cli("resume")
    await play.tao(3)
    if when != "after-the-payout-left":
        assert not (await play.stage.evidence(opened)).payouts, "its payment is in no block"
    if fate == "and-double-spent":
        await play.step(12)
        assert play.state() in ("DISCOVERED", "VERIFIED")
        await play.judge(end="Active", saga=play.state(), payouts=0)
        return
    await play.until_completed()
    await play.judge(end="Completed", saga="COMPLETED")
