"""The stage: both chains with the people on them who are not the miner, on one virtual clock."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import blake2b
from typing import Any

from embit import bech32

from miner.amounts import Chain, Rate
from miner.chains.substrate import addresses
from miner.model import Head, Lane, Swap
from tests.simulation.btc_rules import BtcChain, BtcRules, BtcState, Tx, transaction
from tests.simulation.chain import ModelChain
from tests.simulation.contract_rules import ContractState
from tests.simulation.model_btc import NETWORK
from tests.simulation.tao_rules import (
    Account,
    Call,
    Drain,
    Extrinsic,
    Invoke,
    Remark,
    TaoBlock,
    TaoChain,
    TaoRules,
    TaoState,
    Transfer,
    extrinsic,
)

TAO = 10**9
START_MS = 1_750_000_000_000
TAO_BLOCK_MS = 12_000
BTC_BLOCK_MS = 600_000
GENESIS = "0x" + "9e" * 32
RATE = "345"
VALIDATORS = "the validators"


@cache
def tao_address(name: str) -> str:
    """The address of somebody, by name."""
    return addresses.address_of(blake2b(name.encode(), digest_size=32).digest())


@cache
def btc_address(name: str) -> str:
    """The native segwit address of somebody, by name."""
    program = blake2b(name.encode(), digest_size=20).digest()
    return str(bech32.encode(NETWORK.hrp, 0, program))


def address(chain: Chain, name: str) -> str:
    """The address of somebody on a chain, by name."""
    return tao_address(name) if chain is Chain.TAO else btc_address(name)


CONTRACT = tao_address("the contract")


@dataclass
class Clock:
    """Virtual time: the database's, and the daemon's.

    Attributes:
        now_ms: True time.
        skew_ms: How much the machine's clock is off; what goes on steadily does not see it.
    """

    now_ms: int = START_MS
    skew_ms: int = 0

    def __call__(self) -> int:
        return self.now_ms + self.skew_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    async def sleep(self, seconds: float) -> None:
        raise AssertionError("nothing sleeps here: rounds are run one by one")


@dataclass(frozen=True, slots=True)
class MinerKeys:
    """A miner: its hotkey, and what it pays from."""

    name: str
    hotkey: str
    accounts: dict[Chain, str]

    @classmethod
    def named(cls, name: str) -> MinerKeys:
        """By name."""
        pays = f"{name} pays"
        return cls(name, tao_address(name), {chain: address(chain, pays) for chain in Chain})


@dataclass
class Stage:
    """Both chains and everybody else.

    Attributes:
        miners: Whose swaps these are.
        tao: The contract's chain.
        btc: Bitcoin.
        clock: Moves with the contract's chain.
        btc_every: Contract blocks to a Bitcoin block; 0 when Bitcoin's blocks are made by hand.
        sent_btc: What Bitcoin's pool was given, with the contract's heads at that time.
    """

    miners: list[MinerKeys]
    tao: TaoChain
    btc: BtcChain
    clock: Clock = field(default_factory=Clock)
    btc_every: int = 0
    sent_btc: list[tuple[TaoBlock, TaoBlock, Tx]] = field(default_factory=list)
    _salt: int = 0

    @classmethod
    def make(
        cls,
        miners: int = 1,
        *,
        lag: int = 0,
        timeout: int = 150,
        tao_each: int = 1_000 * TAO,
        btc_coins: tuple[int, ...] = (50_000_000, 50_000_000),
        btc_every: int = 0,
    ) -> Stage:
        """Chains with a few blocks, and funded miners with collateral."""
        keys = [MinerKeys.named(f"miner {index}") for index in range(miners)]
        accounts = {m.hotkey: Account(0, 100 * TAO) for m in keys}
        accounts |= {m.accounts[Chain.TAO]: Account(0, tao_each) for m in keys}
        contract = ContractState(collateral={m.hotkey: 500 * TAO for m in keys}, most_active=12)
        contract = replace(contract, terms=replace(contract.terms, fulfillment_timeout_blocks=timeout))
        tao: TaoChain = ModelChain(
            TaoRules(), TaoState(accounts, contract),
            name="tao", prefix="0x", genesis=GENESIS, block_ms=TAO_BLOCK_MS, time_ms=START_MS, lag=lag,
        )  # fmt: skip
        btc: BtcChain = ModelChain(
            BtcRules(), BtcState(),
            name="btc", prefix="", genesis=NETWORK.genesis, block_ms=BTC_BLOCK_MS, time_ms=START_MS, lag=5,
        )  # fmt: skip
        made = cls(keys, tao, btc, btc_every=btc_every)
        btc.on_submit = lambda tx: made.sent_btc.append((tao.best, tao.finalised, tx))
        for miner in keys:
            for sat in btc_coins:
                made.mint(miner.accounts[Chain.BTC], sat)
        made.btc_block(10)
        made.tao_block(10)
        return made

    # blocks

    def tao_block(self, count: int = 1) -> None:
        """Blocks of the contract's chain; time passes, and Bitcoin's blocks come as they do."""
        for _ in range(count):
            self.clock.now_ms += TAO_BLOCK_MS
            self.tao.produce(time_ms=self.clock.now_ms)
            if self.btc_every and self.tao.best.height % self.btc_every == 0:
                self.btc_block()

    def btc_block(self, count: int = 1) -> None:
        """Blocks of Bitcoin."""
        for _ in range(count):
            self.btc.produce(time_ms=max(self.clock.now_ms, self.btc.best.time_ms + 1_000))

    # the validators and the owner

    def vote(self, message: str, **args: Any) -> Extrinsic:
        """A message of the validators (or the owner) waits for the next block; it needs no nonce."""
        return self.people(VALIDATORS, Invoke(message, args))

    def people(self, signer: str, call: Call) -> Extrinsic:
        """Somebody's call waits for the next block."""
        self._salt += 1
        tx = extrinsic(signer, call, None, self._salt)
        self.tao.force(tx)
        return tx

    # money

    def mint(self, to: str, sat: int) -> Tx:
        """Bitcoin from nowhere waits for the next block."""
        self._salt += 1
        tx = transaction((), [(to, sat)], 0, self._salt)
        self.btc.force(tx)
        return tx

    def send_tao(self, sender: str, to: str, amount: int) -> Extrinsic:
        """Somebody transfers; who has no nonce here has money enough."""
        return self.people(sender, Transfer(to, amount))

    def send_btc(self, sender: str, to: str, sat: int) -> Tx:
        """Somebody pays with a coin of their own, made for it in a block of its own."""
        coin = self.mint(sender, sat + 1_000)
        self.btc_block()
        return self.pay_with(coin, sender, to, sat)

    def pay_with(self, coin: Tx, sender: str, to: str, sat: int) -> Tx:
        """Somebody pays with what a transaction gave them."""
        tx = transaction((coin.outpoint(sender),), [(to, sat)], 1_000)
        self.btc.force(tx)
        return tx

    def own_spend(self, account: str, call: Call) -> Extrinsic:
        """Another program with our key signs the account's next nonce."""
        self._salt += 1
        nonce = self.tao.best.state.account(account).nonce
        tx = extrinsic(account, call, nonce, self._salt, tip=10**6)
        for each in [e for e in self.tao.pool.values() if (e.signer, e.nonce) == (account, nonce)]:
            del self.tao.pool[each.txid]
        self.tao.force(tx)
        return tx

    def spend(self, account: str, to: str, rao: int) -> Extrinsic:
        """Another program with our key pays somebody, or nobody for 0, in the account's next nonce."""
        return self.own_spend(account, Transfer(to, rao) if rao else Remark())

    def spend_anchor(self, lane: Lane, pays: int) -> Tx:
        """Another program with our key spends a lane's anchor, and what waits for it is gone."""
        for txid in [tx.txid for tx in self.btc.pool.values() if lane.slot in tx.inputs]:
            del self.btc.pool[txid]
        change = (lane.account, self.btc.best.state.coins[lane.slot].sat - pays - 20_000)
        tx = transaction([lane.slot], [(lane.recipient, pays), change] if pays else [change], 20_000)
        self.btc.force(tx)
        return tx

    def drain(self, account: str, rao: int) -> None:
        """An account loses money in the next block by what takes no nonce of it (a proxy, a slash)."""
        self.people(account, Drain(rao))

    def release(self) -> None:
        """Producers leave nothing out any more."""
        self.tao.held_back = lambda _tx: False
        self.btc.held_back = lambda _tx: False

    # the contract's other sides

    def marks_need_active(self) -> None:
        """This deployment refuses the marks of inactive miners, from the next block on."""
        self.vote("set_dialect", marks_need_active=True)
        self.tao_block()

    def vote_first(self, message: str, **args: Any) -> None:
        """A message that comes before all that waits."""
        waiting = dict(self.tao.pool)
        self.tao.pool.clear()
        self.vote(message, **args)
        self.tao.pool.update(waiting)

    def mark(self, hotkey: str, swap_id: int, txid: str, amount: int = 1, block: Head | None = None) -> None:
        """Another program with the miner's hotkey marks, by what takes no nonce of it."""
        height = block.height if block else self.tao.best.height
        args = {"swap_id": swap_id, "dest_tx_hash": txid, "dest_tx_block": height, "dest_amount": amount}
        self.people(hotkey, Invoke("mark_fulfilled", args))

    def tamper(self, swap_id: int, **changes: Any) -> None:
        """The contract breaks its word: a swap's terms are others from the next block on."""
        self.vote("tamper", swap_id=swap_id, changes=changes)

    # swaps

    def swap(self, swap_id: int) -> Swap | None:
        """A swap at the best head."""
        return self.tao.best.state.contract.swaps.get(swap_id)

    def open_swap(
        self,
        dest: Chain = Chain.TAO,
        *,
        miner: int = 0,
        sat: int = 1_000_000,
        paid: int | None = None,
        confirmed: bool = True,
        reserved: bool = True,
        **changes: Any,
    ) -> int:
        """A user reserves, pays, and the validators initiate: Active in the newest block.

        Args:
            dest: What the miner pays.
            miner: Whose swap.
            sat: The Bitcoin leg.
            paid: What the user really pays, if not what the swap says; 0 for nothing.
            confirmed: Whether the payment has its confirmations.
            reserved: Whether there was a reservation.
            changes: Fields of the swap that are to be otherwise.

        Returns:
            Its id.
        """
        keys, source = self.miners[miner], Chain.BTC if dest is Chain.TAO else Chain.TAO
        rao = Rate.parse(RATE).convert(sat, Chain.BTC, Chain.TAO)
        amounts = {Chain.BTC: sat, Chain.TAO: rao}
        number = self.tao.best.state.contract.next_id
        user = {chain: address(chain, f"user {number}") for chain in Chain}
        if reserved:
            self.vote("vote_reserve", miner=keys.hotkey)
            self.tao_block()
        amount = amounts[source] if paid is None else paid
        txid, height = self._user_pays(source, user[source], keys.accounts[source], amount, confirmed)
        args: dict[str, Any] = {
            "user": user[Chain.TAO], "miner": keys.hotkey,
            "source_chain": str(source), "dest_chain": str(dest),
            "source_amount": amounts[source], "dest_amount": amounts[dest], "tao_amount": rao,
            "user_source_address": user[source], "user_dest_address": user[dest],
            "miner_source_address": keys.accounts[source], "miner_dest_address": keys.accounts[dest],
            "rate": RATE, "source_tx_hash": txid, "source_tx_block": height, **changes,
        }  # fmt: skip
        self.vote("vote_initiate", **args)
        self.tao_block()
        made = self.tao.best.state.contract.next_id - 1
        if made < number:
            raise AssertionError(f"no swap came of it: {self.tao.best.receipts}")
        return made

    def _user_pays(self, chain: Chain, sender: str, to: str, amount: int, confirmed: bool) -> tuple[str, int]:
        if chain is Chain.BTC:
            if not amount:
                return "ab" * 32, self.btc.best.height
            tx = self.send_btc(sender, to, amount)
            self.btc_block(2 if confirmed else 0)
            return tx.txid, self.btc.best.height - (1 if confirmed else -1)
        if not amount:
            return "0x" + "ab" * 32, self.tao.best.height
        sent = self.send_tao(sender, to, amount)
        if confirmed:
            self.tao_block(1 + self.tao.lag)
            return sent.txid, self.tao.best.height - self.tao.lag
        self.tao.held_back = lambda each: each.txid == sent.txid
        return sent.txid, self.tao.best.height + 1
