"""The devnet itself works: swaps go through their whole life, and the chains answer as real ones do."""

from __future__ import annotations

import aiohttp
import pytest
from scalecodec.types import GenericExtrinsic

from tests.devnet import accounts
from tests.devnet.bitcoin import BitcoinNode
from tests.devnet.chain import ContractsChain
from tests.devnet.driver import Bad, Plan
from tests.devnet.errors import CallFailed, RpcRefused
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.players import mark, pay_user
from tests.devnet.terms import ChainName, dest_amount
from tests.devnet.validators import Verdict
from tests.devnet.world import Devnet

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def transfer(
    devnet: Devnet, nonce: int, *, user: int = 0, tip: int = 0, era: int | None = None
) -> GenericExtrinsic:
    substrate = devnet.contract.substrate
    call = await substrate.call(
        "Balances", "transfer_keep_alive", dest=accounts.account("//Bob").ss58_address, value=1_000_000
    )
    return await substrate.sign(call, accounts.user(user), nonce=nonce, tip=tip, era=era)


async def refusal(devnet: Devnet, extrinsic: GenericExtrinsic) -> tuple[int, object]:
    with pytest.raises(RpcRefused) as refused:
        await devnet.contract.substrate.submit(extrinsic)
    return refused.value.code, refused.value.data


@pytest.mark.parametrize("source", [ChainName.BTC, ChainName.TAO])
async def test_a_swap_lives_from_quote_to_completion(devnet: Devnet, source: ChainName) -> None:
    miner = devnet.miners[0]
    opened = await devnet.driver.open_swap(Plan(miner, source))
    assert opened.swap.status == "Active"
    assert opened.swap.dest_amount == dest_amount(source, opened.plan.amount, "345")

    await mark(devnet, miner, opened.id, await pay_user(devnet, miner, opened.id))
    fulfilled = await devnet.contract.swap(opened.id)
    assert fulfilled is not None
    assert fulfilled.status == "Fulfilled"
    assert (await devnet.validators.judge())[opened.id].verdict is Verdict.WAIT

    await devnet.chain.new_block(6)
    await devnet.bitcoin.mine(2)
    assert (await devnet.validators.judge())[opened.id].verdict is Verdict.CONFIRM
    assert await devnet.contract.swap(opened.id) is None


@pytest.mark.parametrize("source", [ChainName.BTC, ChainName.TAO])
async def test_an_underpaid_user_is_not_confirmed(devnet: Devnet, source: ChainName) -> None:
    miner = devnet.miners[1]
    opened = await devnet.driver.open_swap(Plan(miner, source))
    await mark(devnet, miner, opened.id, await pay_user(devnet, miner, opened.id, less=1))
    await devnet.chain.new_block(6)
    await devnet.bitcoin.mine(2)
    assert (await devnet.validators.judge())[opened.id].verdict is Verdict.REFUSE


async def test_an_unpaid_swap_times_out_and_slashes(devnet: Devnet) -> None:
    hotkey = str(devnet.miners[0].hotkey.ss58_address)
    before = await devnet.contract.collateral(hotkey)
    await devnet.contract.set_timeout(10)
    opened = await devnet.driver.open_swap(Plan(devnet.miners[0]))
    await devnet.chain.new_block(10)
    assert (await devnet.validators.judge())[opened.id].verdict is Verdict.TIMEOUT
    assert await devnet.contract.swap(opened.id) is None
    assert await devnet.contract.collateral(hotkey) == before - opened.swap.tao_amount


async def test_swaps_of_many_miners_become_active_in_one_block(devnet: Devnet) -> None:
    plans = [Plan(miner, list(ChainName)[i % 2], user=i) for i, miner in enumerate(devnet.miners)]
    opened = await devnet.driver.open_swaps(plans)
    assert len({each.swap.initiated_block for each in opened}) == 1
    assert [each.swap.miner for each in opened] == [miner.hotkey.ss58_address for miner in devnet.miners]


async def test_bad_swaps_can_be_opened(devnet: Devnet) -> None:
    genuine = await devnet.driver.open_swap(Plan(devnet.miners[0]))
    flaws = [
        Bad(paid_amount=999),
        Bad(paid_by=7),
        Bad(source_tx_hash=genuine.payment.tx_hash.upper(), source_tx_block=genuine.payment.block),
        Bad(dest_amount=4_000_000_000),
        Bad(rate="1"),
    ]
    plans = [Plan(devnet.miners[i + 1], user=i + 1, bad=flaw) for i, flaw in enumerate(flaws)]
    opened = await devnet.driver.open_swaps(plans)
    assert all(each.swap.status == "Active" for each in opened)
    assert opened[3].swap.dest_amount == 4_000_000_000


async def test_a_refused_vote_names_the_contracts_error(devnet: Devnet) -> None:
    with pytest.raises(CallFailed, match="SwapNotFound"):
        await devnet.validators.confirm(99)


async def test_a_fork_has_other_hashes_and_keeps_the_transactions(devnet: Devnet) -> None:
    await devnet.chain.set_finality_lag(10)
    base = (await devnet.chain.heads()).number
    extrinsic = await transfer(devnet, 0)
    await devnet.contract.substrate.submit(extrinsic)
    first = await devnet.chain.new_block()
    forked = await devnet.chain.fork(base)
    again = await devnet.chain.fork(base)
    assert len({first, forked, again}) == 3
    block = (await devnet.chain.rpc("chain_getBlock", again))["block"]
    assert str(extrinsic.data) in block["extrinsics"]
    assert await devnet.chain.block_hash(base + 1) == again


async def test_a_fork_may_lose_the_transactions(devnet: Devnet) -> None:
    await devnet.chain.set_finality_lag(10)
    base = (await devnet.chain.heads()).number
    await devnet.contract.substrate.submit(await transfer(devnet, 0))
    await devnet.chain.new_block()
    await devnet.chain.fork(base, resubmit=False)
    assert await devnet.contract.substrate.nonce(accounts.user(0).ss58_address) == 0


async def test_going_back_to_the_first_fork_restores_its_heights(devnet: Devnet) -> None:
    await devnet.chain.set_finality_lag(10)
    base = (await devnet.chain.heads()).number
    first = [await devnet.chain.new_block() for _ in range(3)]
    await devnet.chain.fork(base)
    await devnet.chain.set_head(first[2])
    assert [await devnet.chain.block_hash(base + 1 + i) for i in range(3)] == first


async def test_a_finalised_block_is_forked_only_by_force(devnet: Devnet) -> None:
    base = (await devnet.chain.heads()).number
    await devnet.chain.new_block(2)
    with pytest.raises(RpcRefused, match="finalised"):
        await devnet.chain.fork(base)
    forked = await devnet.chain.fork(base, force=True)
    assert (await devnet.chain.heads()).finalised_hash == forked


async def test_finality_lags_in_answers_and_subscriptions(devnet: Devnet) -> None:
    base = (await devnet.chain.heads()).number
    await devnet.chain.set_finality_lag(2)
    subscribe = {"jsonrpc": "2.0", "id": 1, "method": "chain_subscribeFinalizedHeads", "params": []}
    async with aiohttp.ClientSession() as session, session.ws_connect(devnet.chain.url) as socket:
        await socket.send_json(subscribe)
        subscription = (await socket.receive_json())["result"]
        numbers = [int((await socket.receive_json())["params"]["result"]["number"], 16)]
        await devnet.chain.new_block(4)
        for _ in range(2):
            notified = (await socket.receive_json())["params"]
            assert notified["subscription"] == subscription
            numbers.append(int(notified["result"]["number"], 16))
    assert numbers == [base, base + 1, base + 2]
    finalised = await devnet.chain.rpc("chain_getFinalizedHead")
    assert finalised == await devnet.chain.block_hash(base + 2)


async def test_block_times_advance_by_twelve_seconds(devnet: Devnet) -> None:
    substrate = devnet.contract.substrate
    times = []
    for _ in range(3):
        await devnet.chain.new_block()
        times.append(await substrate.query("Timestamp", "Now"))
    assert times[2] - times[1] == times[1] - times[0] == 12_000


async def test_the_pool_answers_as_a_nodes(devnet: Devnet) -> None:
    substrate = devnet.contract.substrate
    first = await transfer(devnet, 0)
    hash_ = await substrate.submit(first)
    assert await refusal(devnet, first) == (1013, f'"{hash_}"')
    assert (await refusal(devnet, await transfer(devnet, 0, era=64)))[0] == 1014
    usurper = await substrate.submit(await transfer(devnet, 0, tip=10_000_000))
    assert (await devnet.chain.pool()).ready == (usurper,)

    future = await substrate.submit(await transfer(devnet, 2))
    await devnet.chain.new_block()
    assert (await devnet.chain.pool()).future == (future,)
    assert await refusal(devnet, first) == (1010, "Transaction is outdated")
    await substrate.submit(await transfer(devnet, 1))
    await devnet.chain.new_block()
    assert await substrate.nonce(accounts.user(0).ss58_address) == 3

    dying = await transfer(devnet, 3, era=4)
    await devnet.chain.new_block(6)
    assert await refusal(devnet, dying) == (1010, "Transaction has a bad signature")
    await devnet.chain.pool(ban=[future])
    assert future in (await devnet.chain.pool()).banned


async def test_an_included_transaction_may_be_called_banned(devnet: Devnet) -> None:
    extrinsic = await transfer(devnet, 0)
    await devnet.chain.pool(included="banned")
    await devnet.contract.substrate.submit(extrinsic)
    await devnet.chain.new_block()
    assert await refusal(devnet, extrinsic) == (1012, None)


async def test_requests_are_counted_but_not_the_drivers(devnet: Devnet) -> None:
    call = {"jsonrpc": "2.0", "method": "chain_getFinalizedHead"}
    batch = [call | {"id": "1"}, call | {"id": "2"}]
    await devnet.contract.next_swap_id()
    async with (
        aiohttp.ClientSession() as session,
        session.post(devnet.chain.http_url, json=batch) as response,
    ):
        assert len(await response.json()) == 2
    assert await devnet.chain.requests(reset=True) == {"chain_getFinalizedHead": 2}
    assert await devnet.chain.requests() == {}


async def test_faults_hit_so_many_requests(devnet: Devnet) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "system_chain", "params": []}
    await devnet.chain.fault(Fault("system_chain", FaultKind.REFUSE, count=1, message="busy"))
    await devnet.chain.fault(Fault("system_chain", FaultKind.GARBLE, count=1))
    async with aiohttp.ClientSession() as session, session.ws_connect(devnet.chain.url) as socket:
        await socket.send_json(request)
        assert (await socket.receive_json())["error"]["message"] == "busy"
        await socket.send_json(request)
        with pytest.raises(ValueError, match="Unterminated"):
            await socket.receive_json()
        await socket.send_json(request)
        assert (await socket.receive_json())["result"]
        await devnet.chain.fault(Fault("system_chain", FaultKind.CLOSE, count=1))
        await socket.send_json(request)
        assert (await socket.receive()).type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSE)


async def test_unknown_and_discarded_state_is_an_error_not_an_absence(devnet: Devnet) -> None:
    key = "0x3a636f6465"
    with pytest.raises(RpcRefused, match="UnknownBlock"):
        await devnet.chain.rpc("state_getStorage", key, "0x" + "11" * 32)
    assert await devnet.chain.rpc("chain_getHeader", "0x" + "11" * 32) is None
    old = (await devnet.chain.heads()).hash
    await devnet.chain.new_block(4)
    await devnet.chain.set_pruning(2)
    with pytest.raises(RpcRefused, match="State already discarded"):
        await devnet.chain.rpc("state_getStorage", key, old)


async def test_a_chain_of_its_own_starts_at_block_1(chain: ContractsChain) -> None:
    assert (await chain.heads()).number == 1


async def test_the_bitcoin_node_survives_a_power_cut_and_reorganises(bitcoin_node: BitcoinNode) -> None:
    payee = await bitcoin_node.new_address("payee")
    txid = await bitcoin_node.fund(payee, 50_000)
    height = await bitcoin_node.height()
    await bitcoin_node.restart(kill=True)
    assert await bitcoin_node.height() == height
    await bitcoin_node.reorganise(1, empty=True)
    assert await bitcoin_node.confirmations(txid, "payee") == 0
    await bitcoin_node.mine()
    assert await bitcoin_node.confirmations(txid, "payee") == 1


async def test_the_bitcoin_proxy_counts_and_injects(bitcoin_node: BitcoinNode) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "getblockcount", "params": []}
    bitcoin_node.proxy.fault(Fault("getblockcount", FaultKind.CLOSE, count=1))
    async with aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.post(bitcoin_node.url, json=request)
        async with session.post(bitcoin_node.url, json=request) as response:
            assert (await response.json())["result"] == 150
    assert await bitcoin_node.requests() == {"getblockcount": 2}
