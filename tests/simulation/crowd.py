"""Many swaps in one block, for the limits."""

from __future__ import annotations

from typing import Any

from miner.amounts import Chain, Rate
from tests.simulation.btc_rules import transaction
from tests.simulation.stage import RATE, Stage, address

FIRST_USER = 1
SAT = 20_000


def open_crowd(stage: Stage, count: int, dest: Chain = Chain.TAO) -> range:
    """So many swaps, shared out among the miners, each user's payment confirmed: Active in the newest block.

    Returns:
        Their ids.
    """
    stage.vote("set_dialect", most_active=count + 100)
    stage.tao_block()
    first = stage.tao.best.state.contract.next_id
    ids = range(first, first + count)
    paid = _users_pay(stage, ids, Chain.BTC if dest is Chain.TAO else Chain.TAO)
    for number in ids:
        stage.vote("vote_initiate", **_terms(stage, number, dest, paid[number]))
    stage.tao_block()
    return ids


def _miner(stage: Stage, number: int) -> Any:
    return stage.miners[number % len(stage.miners)]


def _rao() -> int:
    return Rate.parse(RATE).convert(SAT, Chain.BTC, Chain.TAO)


def _users_pay(stage: Stage, ids: range, source: Chain) -> dict[int, tuple[str, int]]:
    """Transaction id and height of each user's payment."""
    sent: dict[int, str] = {}
    if source is Chain.TAO:
        for number in ids:
            to = _miner(stage, number).accounts[Chain.TAO]
            sent[number] = stage.send_tao(address(Chain.TAO, f"user {number}"), to, _rao()).txid
        stage.tao_block(1 + stage.tao.lag)
        return {number: (txid, stage.tao.best.height - stage.tao.lag) for number, txid in sent.items()}
    coins = {number: stage.mint(address(Chain.BTC, f"user {number}"), SAT + 1_000) for number in ids}
    stage.btc_block()
    for number, coin in coins.items():
        to = _miner(stage, number).accounts[Chain.BTC]
        tx = transaction((coin.outpoint(address(Chain.BTC, f"user {number}")),), [(to, SAT)], 1_000)
        stage.btc.force(tx)
        sent[number] = tx.txid
    stage.btc_block(2)
    return {number: (txid, stage.btc.best.height - 1) for number, txid in sent.items()}


def _terms(stage: Stage, number: int, dest: Chain, paid: tuple[str, int]) -> dict[str, Any]:
    source = Chain.BTC if dest is Chain.TAO else Chain.TAO
    keys, amounts = _miner(stage, number), {Chain.BTC: SAT, Chain.TAO: _rao()}
    user = {chain: address(chain, f"user {number}") for chain in Chain}
    return {
        "user": user[Chain.TAO], "miner": keys.hotkey,
        "source_chain": str(source), "dest_chain": str(dest),
        "source_amount": amounts[source], "dest_amount": amounts[dest], "tao_amount": amounts[Chain.TAO],
        "user_source_address": user[source], "user_dest_address": user[dest],
        "miner_source_address": keys.accounts[source], "miner_dest_address": keys.accounts[dest],
        "rate": RATE, "source_tx_hash": paid[0], "source_tx_block": paid[1],
    }  # fmt: skip
