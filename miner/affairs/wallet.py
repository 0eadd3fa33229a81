"""What each miner's accounts hold, what is set aside of it, and what open swaps will still take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from miner.amounts import Chain, user_receives
from miner.errors import MinerError, StoreError
from miner.model import Saga
from miner.ports import Rail, Store
from miner.verdict import has_paid
from miner.verify import MinerAccounts

PAYOUTS, MARKS = "payouts", "marks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Purse:
    """One account of one miner.

    Attributes:
        miner: The operator's name for it.
        chain: Where it is.
        account: Its address.
        role: `payouts`, `marks`, or both.
        balance: What could leave it now, smallest unit; None where it could not be read.
        reserved: What is set aside on it for swaps under way, of all miners that share it.
        owed: What open swaps of this miner will take from it, reserved or not; marks not counted.
        open_swaps: How many those are.
        stopped: Why it begins no payouts; empty where it does.
        problem: Why its balance could not be read.
    """

    miner: str
    chain: Chain
    account: str
    role: str
    balance: int | None = None
    reserved: int = 0
    owed: int = 0
    open_swaps: int = 0
    stopped: str = ""
    problem: str = ""

    @property
    def spendable(self) -> int | None:
        """What new swaps may have of the balance."""
        return None if self.balance is None else max(0, self.balance - self.reserved)

    @property
    def short(self) -> int:
        """What is missing for all that is owed; 0 where nothing is, or the balance is not known."""
        return 0 if self.balance is None else max(0, self.owed - self.balance)


async def purses(
    rails: Mapping[Chain, Rail],
    miners: Iterable[MinerAccounts],
    store: Store | None,
    sagas: Sequence[Saga],
    fee_divisor: int,
) -> list[Purse]:
    """Every account of every miner; one that cannot be read says so, and hides no other.

    Args:
        rails: By chain.
        miners: Whose.
        store: None where there is none yet: nothing is set aside then.
        sagas: The open ones.
        fee_divisor: Of the contract: what a swap's user is paid less than its amount.
    """
    stopped = {(row.chain, row.account): row.stopped for row in await store.accounts()} if store else {}
    found = []
    for miner in miners:
        for purse in _of(miner):
            rail = rails.get(purse.chain)
            if rail is None:
                found.append(replace(purse, problem=f"no {purse.chain} node is configured"))
                continue
            if PAYOUTS in purse.role:
                purse = _with_obligations(purse, miner, sagas, fee_divisor)
            purse = replace(purse, stopped=stopped.get((rail.chain_id, purse.account), ""))
            found.append(await _read(purse, rail, store))
    return found


def _of(miner: MinerAccounts) -> list[Purse]:
    """A miner's accounts; its hotkey, which marks, beside them where it is another."""
    tao = miner.accounts.get(Chain.TAO)
    out = []
    for chain, account in miner.accounts.items():
        role = f"{PAYOUTS}, {MARKS}" if chain is Chain.TAO and account == miner.hotkey else PAYOUTS
        out.append(Purse(miner=miner.name, chain=chain, account=account, role=role))
    if tao != miner.hotkey:
        out.append(Purse(miner=miner.name, chain=Chain.TAO, account=miner.hotkey, role=MARKS))
    return out


def _with_obligations(purse: Purse, miner: MinerAccounts, sagas: Sequence[Saga], fee_divisor: int) -> Purse:
    unpaid = [saga for saga in sagas if saga.swap.miner == miner.hotkey and is_owed(saga, purse.chain)]
    return replace(purse, owed=sum(owed(saga, fee_divisor) for saga in unpaid), open_swaps=len(unpaid))


def is_owed(saga: Saga, chain: Chain) -> bool:
    """Whether a swap will still take its payout on a chain; one whose payout is in a block will not."""
    paid = saga.payout is not None and has_paid(saga.payout)
    return saga.dest is chain and not saga.state.ended and saga.ending is None and not paid


def owed(saga: Saga, fee_divisor: int) -> int:
    """What a swap's user is to be paid, smallest unit."""
    if saga.payout is not None:
        return saga.payout.amount
    return user_receives(saga.swap.dest_amount, fee_divisor)


async def _read(purse: Purse, rail: Rail, store: Store | None) -> Purse:
    reserved = await store.reserved(rail.chain_id, purse.account) if store else 0
    try:
        return replace(purse, balance=await rail.spendable(purse.account), reserved=reserved)
    except StoreError:
        raise
    except MinerError as error:
        return replace(purse, reserved=reserved, problem=str(error))
