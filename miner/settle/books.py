"""Law 9 at work: every spend of a payout account maps to a lane; where one does not, first sends stop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from miner.amounts import Chain
from miner.model import AccountRow, PayoutOrder, Saga, Swap
from miner.ports import Rail
from miner.settle.desk import Desk, Round

log = structlog.get_logger("settle")

LONGEST_LIFE = 64
"""Blocks after which a signed TAO payout has landed or is dead: the longest era that is signed."""
SLACK_BLOCKS = 144
"""How many more blocks another chain may have made since a swap began than the contract's own has."""
PAGE = 100
"""Sagas that are read at a time when a payout's swap is looked for."""


@dataclass(frozen=True, slots=True)
class Books:
    """An account as it was just accounted for.

    Attributes:
        row: What the store holds of it.
        strangers: Slots of lanes that another program's transaction took: what else it did is not judged.
        newly_stopped: Whether this look stopped it.
        doubted: Whether more may come to light: what was found counts, and that nothing was proves nothing.
    """

    row: AccountRow
    strangers: frozenset[str]
    newly_stopped: bool = False
    doubted: bool = False


async def account_for(
    desk: Desk, rail: Rail, account: str, row: AccountRow | None = None, *, paying: bool = False
) -> Books:
    """Read what an account has spent, and stop first sends on it where no lane explains it all.

    Args:
        desk: The ports.
        rail: The account's chain.
        account: Which.
        row: What the store holds of it, where that was just read.
        paying: Whether it is about to pay: then, and at the first look, what only waits in a pool counts.

    Raises:
        ReadFailed: Nothing was learned; it is not accounted for.
    """
    store, chain = desk.store, rail.chain_id
    doubted = await _is_doubted(desk, rail)
    if row is None:
        row = (await rows_of(desk)).get((chain, account))
    if row is None:
        row = await store.account(chain, account, await rail.baseline(account))
    waiting = paying or (chain, account) not in desk.audited
    unexplained = await rail.unexplained(row, await store.slots(chain, account), waiting=waiting)
    await _remember(desk, rail, row)
    since = await store.pin(f"accounted:{chain}:{account}:{row.base}", str(desk.node.best_height()))
    await store.pin(_first(rail, account), f"{since} {row.base}")
    desk.audited[chain, account] = int(since)
    newly = bool(unexplained) and await stop(desk, rail, account, unexplained)
    if unexplained:
        row = await store.account(chain, account, row.base)
    return Books(row, frozenset(await store.strangers(chain, account)), newly, doubted)


async def stop(desk: Desk, rail: Rail, account: str, unexplained: Sequence[str]) -> bool:
    """Stop an account, and say why; whether it was not stopped before."""
    newly = await desk.store.stop_account(rail.chain_id, account, "; ".join(unexplained[:3]))
    if newly:
        log.error(
            "spends_not_accounted_for",
            account=account,
            chain=rail.chain,
            spends=list(unexplained[:20]),
            remedy=f"find out who else signs for it, then `swap-miner resume --account {account}`",
        )
    return newly


async def rows_of(desk: Desk) -> dict[tuple[str, str], AccountRow]:
    """Every account that the store knows, by chain id and address."""
    return {(row.chain, row.account): row for row in await desk.store.accounts()}


async def _is_doubted(desk: Desk, rail: Rail) -> bool:
    """Whether the store may lack lanes whose bytes may still land: an audit now would not see them.

    A Bitcoin wallet lists what it has sent at once, mined or not.
    """
    until = await desk.store.doubted_until(desk.node.best_height() + LONGEST_LIFE)
    return until is not None and rail.chain is Chain.TAO and (await rail.tip()).height < until


async def accounted(this: Round, rail: Rail, account: str) -> Books:
    """The books of an account in this round: whoever is about to pay looks, and one look serves all.

    Raises:
        ReadFailed: See `account_for`.
    """
    async with this.accounting:
        key = (rail.chain_id, account)
        if key not in this.accounted:
            this.accounted[key] = await account_for(this.desk, rail, account, paying=True)
        return this.accounted[key]


async def _remember(desk: Desk, rail: Rail, row: AccountRow) -> None:
    """The highest finalised nonce ever seen outlives this process: a lower one tells of another life."""
    if rail.chain is not Chain.TAO:
        return
    nonce = await rail.baseline(row.account)
    if nonce > row.seen:
        await desk.store.saw_nonce(row.chain, row.account, nonce, (await rail.tip()).height)


async def not_before_of(desk: Desk, rail: Rail, saga: Saga, order: PayoutOrder, *, named: bool) -> int | None:
    """First height of the rail's chain in which a swap's payout can be; None where it is not to be guessed.

    On the contract's own chain that is the swap's first block. On another chain nothing ties a block to the
    swap, so what is only alike is taken for its payout where this store has accounted for the account since
    before the swap began: an earlier payout is known then.
    """
    if rail.chain is Chain.TAO:
        return saga.swap.initiated_block
    if named:
        age = max(desk.node.best_height() - saga.swap.initiated_block, 0)
        return max((await rail.tip()).height - age - SLACK_BLOCKS, 0)
    since = desk.audited.get((rail.chain_id, order.account))
    if since is None:
        return None
    began, base = (await desk.store.pin(_first(rail, order.account), f"{since} 0")).split()
    return int(base) + 1 if saga.swap.initiated_block > int(began) else None


async def has_twin(desk: Desk, rail: Rail, saga: Saga, txid: str, height: int) -> bool:
    """Whether a payout that nobody named may as well be another swap's: same user, same amount.

    A swap with a lane of its own is none: its payout is known, and credited to it alone. So is one that the
    contract credits with another payout, and one that began after the payout's block.
    """
    before: int | None = None
    while page := await desk.store.list_sagas(limit=PAGE, before=before):
        for other in page:
            later = rail.chain is Chain.TAO and other.swap.initiated_block > height
            if other.id == saga.id or other.payout is not None or later:
                continue
            if _alike(rail, saga.swap, other.swap):
                told = (other.ending and other.ending.dest_tx_hash) or other.swap.dest_tx_hash
                if not told or told == txid:
                    return True
        before = page[-1].key.swap_id
        if page[-1].swap.timeout_block < saga.swap.initiated_block:
            return False
    return False


def _alike(rail: Rail, one: Swap, other: Swap) -> bool:
    same_amount = one.dest_amount == other.dest_amount or (
        (one.source_amount, one.rate) == (other.source_amount, other.rate)
    )
    return (
        one.dest_chain == other.dest_chain
        and same_amount
        and rail.same_address(one.miner_dest_address, other.miner_dest_address)
        and rail.same_address(one.user_dest_address, other.user_dest_address)
    )


def _first(rail: Rail, account: str) -> str:
    return f"accounting_began:{rail.chain_id}:{account}"
