"""A miner's own business as plain values, for the API and the commands alike: wallets, collateral, quotes.

Amounts are decimal strings in the chain's smallest unit; None is what a contract or a chain does not tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from miner.affairs.holdings import Committed, Quotes, Standings
from miner.affairs.quotes import preview_of, problems_of
from miner.affairs.wallet import Purse
from miner.amounts import Chain, format_amount
from miner.errors import Refused
from miner.model import Lane, MinerStanding
from miner.model.quote import Direction, parse_quote


def _text(amount: int | None) -> str | None:
    return None if amount is None else str(amount)


# wallets


def wallet_facts(found: Sequence[Purse]) -> dict[str, Any]:
    """What accounts hold, what is set aside of it, and what open swaps will take."""
    return {"accounts": [_purse(purse) for purse in found]}


def _purse(purse: Purse) -> dict[str, Any]:
    return {
        "miner": purse.miner,
        "chain": purse.chain.value,
        "account": purse.account,
        "role": purse.role,
        "balance": _text(purse.balance),
        "reserved": str(purse.reserved),
        "spendable": _text(purse.spendable),
        "obligations": str(purse.owed),
        "open_swaps": purse.open_swaps,
        "short": str(purse.short),
        "stopped": purse.stopped,
        "problem": purse.problem,
    }


# collateral


def collateral_facts(found: Standings) -> dict[str, Any]:
    """How miners stand with the contract, and what each sent of its own."""
    rows = [
        {**_standing(name, standing), "sent": _sent(standing.miner, found.sent)}
        for name, standing in found.miners
    ]
    return {"height": found.best_height, "miners": rows}


def _standing(name: str, standing: MinerStanding) -> dict[str, Any]:
    return {
        "miner": name,
        "hotkey": standing.miner,
        "height": standing.height,
        "collateral": _text(standing.collateral),
        "minimum": _text(standing.minimum),
        "maximum": _text(standing.maximum),
        "active": standing.active,
        "has_open_swap": standing.has_swap,
        "reserved": standing.reserved,
        "reserved_until": standing.reserved_until,
        "deactivation_block": standing.deactivation_block,
        "cooldown_ends": standing.cooldown_ends,
        "cooldown_blocks_left": standing.cooldown_left,
        "activation_votes": standing.votes,
        "activation_votes_needed": standing.votes_needed,
        "halted": standing.halted,
    }


def _sent(hotkey: str, lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """A hotkey's transactions of its own, newest first."""
    return [
        {
            "txid": lane.txid or lane.attempts[0].tx.txid,
            "slot": lane.slot,
            "amount": format_amount(lane.amount, Chain.TAO),
            "state": lane.state.value,
            "block": lane.block.height if lane.block else None,
        }
        for lane in lanes
        if lane.account == hotkey
    ]


# quotes


def quotes_facts(found: Quotes, text: str | None = None) -> dict[str, Any]:
    """What miners have committed, or a text that is not committed, with everything that is wrong with it."""
    rows = [_quote(each, found.fee_divisor, text) for each in found.miners]
    return {"height": found.height, "fee_divisor": found.fee_divisor, "miners": rows}


def _quote(miner: Committed, fee_divisor: int, text: str | None) -> dict[str, Any]:
    text = miner.text if text is None else text
    facts: dict[str, Any] = {"miner": miner.miner, "hotkey": miner.hotkey, "block": miner.block or None}
    facts |= {"text": text, "valid": False, "directions": [], "problems": []}
    if text is None:
        return {**facts, "problems": [miner.problem or "it has committed no text"]}
    try:
        quoted = parse_quote(text)
    except Refused as refused:
        return {**facts, "problems": [refused.cause]}
    problems = problems_of(quoted, miner.accounts)
    if not any(direction.offered for direction in quoted.directions):
        problems.append("both directions are switched off")
    return {
        **facts,
        "valid": True,
        "directions": [_direction(each, fee_divisor) for each in quoted.directions],
        "problems": problems,
    }


def _direction(direction: Direction, fee_divisor: int) -> dict[str, Any]:
    told = preview_of(direction, fee_divisor)
    return {
        "from": direction.source,
        "to": direction.dest,
        "users_pay_to": direction.pays_to,
        "miner_pays_from": direction.pays_from,
        "rate": direction.rate,
        "offered": direction.offered,
        "preview": told and {"pays": str(told.pays), "receives": str(told.receives), "text": str(told)},
    }
