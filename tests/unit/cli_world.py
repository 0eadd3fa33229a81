"""A store on disk with a swap in it, and the wiring that the command line needs, without any chain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from miner import app
from miner.affairs.holdings import Quotes, Standings
from miner.affairs.wallet import Purse
from miner.amounts import Chain
from miner.config import CheckLine, Settings, load
from miner.errors import MinerError
from miner.model import (
    AccountRow,
    Asked,
    Came,
    Claim,
    Discovery,
    Head,
    ImportedSend,
    Ingest,
    Lane,
    LanePurpose,
    Lease,
    MinerStanding,
    OperatorRequest,
    Outcome,
    Payment,
    RecoveryEntry,
    Reservation,
    Saga,
    SagaPatch,
    SignedTx,
    Step,
    Swap,
    SwapStatus,
)
from miner.ports import Outbox, Store
from miner.saga import Event
from miner.store import SqlStore
from miner.verify import MinerAccounts
from tests.unit.config_files import ALICE, BOB, write_settings

T = TypeVar("T")
GENESIS = "0x" + "11" * 32
TAO = f"tao:{GENESIS}"
CANARY = b"canary-signed-bytes" * 8
CONTROL = "\x1b[31mred\u202e"


DONE = Outcome(
    swap_id=0, came=Came.DONE, text="it is done", stake="1.5 TAO is paid", remedy="swap-miner show 7"
)


def swap_of(number: int, **changes: Any) -> Swap:
    values: dict[str, Any] = {
        "id": number, "user": BOB, "miner": ALICE, "source_chain": "btc", "dest_chain": "tao",
        "source_amount": 1_000_000, "dest_amount": 3_450_000_000, "tao_amount": 3_450_000_000,
        "user_source_address": f"bc1{CONTROL}", "user_dest_address": BOB, "miner_source_address": "bc1miner",
        "miner_dest_address": ALICE, "rate": "345", "source_tx_hash": "ab" * 32, "source_tx_block": 5,
        "dest_tx_hash": "", "dest_tx_block": 0, "status": SwapStatus.ACTIVE, "initiated_block": 10,
        "timeout_block": 100 + number, "fulfilled_block": 0, "completed_block": 0,
    }  # fmt: skip
    return Swap(**(values | changes))


def signed(slot: str) -> SignedTx:
    return SignedTx("0x" + "77" * 32, CANARY, 125_000, 20, 84, (slot,))


async def fill(store: SqlStore) -> None:
    """Swap 1 discovered, swap 2 signed and not landed, swap 3 held with a recovery entry."""
    await store.bind(GENESIS, BOB)
    watch = await store.acquire("watch")
    found = tuple(Discovery(swap_of(number)) for number in (1, 2, 3))
    await store.ingest(Ingest(None, (Head(20, "0x" + "20" * 32),), found), watch)
    two, three = await store.saga(2), await store.saga(3)
    assert two is not None
    assert three is not None
    payment = Payment(Chain.BTC, "ab" * 32, 5, "cd" * 32, 1_000_000, "ef" * 32)
    two = await store.step(two, Step(event=Event.SOURCE_VERIFIED, patch=SagaPatch(payment=payment)))
    reserve = Reservation(TAO, ALICE, 3_415_500_000, 10**7, ALICE, 5 * 10**6)
    two = await store.step(two, Step(event=Event.INVENTORY_RESERVED, reserve=reserve))
    claim = Claim(TAO, ALICE, LanePurpose.PAYOUT, signed, BOB, 3_415_500_000, nonce_floor=17)
    await store.step(two, Step(event=Event.PAYOUT_SIGNED, claim=claim, payload={"raw_hex": CANARY.hex()}))
    entry = RecoveryEntry("evidence_contradicts", "swap-miner show 3", {"amount": "1"})
    patch = SagaPatch(reason="evidence_contradicts")
    await store.step(three, Step(event=Event.HELD_FOR_OPERATOR, patch=patch, recovery=entry))
    await store.account(TAO, ALICE, 0)
    await store.stop_account(TAO, ALICE, f"nonce 9 is unexplained {CONTROL}")


@dataclass
class Wired:
    """`miner.app` with its store and files; where it would ask a node, what the test says."""

    checks: Sequence[CheckLine | MinerError] = ()
    result: int | Exception = 0
    held: Sequence[Lease] = ()
    cleared: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    rebuilt: Mapping[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    outcome: Outcome = DONE
    answers: bool = True
    chain: Mapping[str, Any] | MinerError = field(default_factory=dict)
    purses: Sequence[Purse] = ()
    standing: Sequence[tuple[str, MinerStanding]] = ()
    sent: Sequence[Lane] = ()
    quoted: Quotes | MinerError = field(default_factory=lambda: Quotes((), 100, 0))

    async def open_store(self, settings: Settings) -> Store:
        self.calls.append("open_store")
        return await app.open_store(settings)

    async def run(self, settings: Settings, reread: Callable[[], Settings]) -> int:
        assert reread() == settings
        self.calls.append(f"run {settings.miners[0].name}")
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    async def preflight(self, settings: Settings) -> AsyncIterator[CheckLine]:
        for line in self.checks:
            if isinstance(line, MinerError):
                raise line
            yield line

    async def leases(self, store: Store) -> Sequence[Lease]:
        return [*self.held, *await app.leases(store)]

    async def accounts(self, store: Store) -> Sequence[AccountRow]:
        return await app.accounts(store)

    async def clear_account(self, settings: Settings, store: Store, account: str, actor: str) -> bool | None:
        if account != ALICE:
            return None
        return await store.clear_account(TAO, account, 20, actor)

    def one_miner(self, settings: Settings, named: str | None) -> MinerAccounts:
        return MinerAccounts(settings.miners[0].name, ALICE, {Chain.TAO: BOB, Chain.BTC: "bcrt1qalice"})

    async def would(
        self, settings: Settings, store: Store | None, asked: Sequence[Asked]
    ) -> Sequence[Outcome]:
        self.asked += asked
        return [replace(self.outcome, swap_id=each.swap_id) for each in asked]

    async def ask(
        self,
        settings: Settings,
        store: Store,
        asked: Sequence[Asked],
        wait_s: float,
        say: Callable[[str], None],
    ) -> Sequence[OperatorRequest]:
        """Through the real rows: as a daemon that answers at once, or one that does not."""
        self.asked += asked
        say("waiting")
        ids = await store.ask(asked, 1000)
        if not self.answers:
            return await store.withdraw(ids)
        for request in await store.take_requests():
            await store.answer(request, replace(self.outcome, swap_id=request.asked.swap_id))
        return await store.requests(ids)

    async def chain_now(self, settings: Settings, store: Store, saga: Saga) -> Mapping[str, Any]:
        if isinstance(self.chain, MinerError):
            raise self.chain
        return self.chain

    async def resolve_recovery(
        self, settings: Settings, store: Store | None, entry: Mapping[str, Any], reason: str, actor: str
    ) -> None:
        await app.resolve_recovery(settings, store, entry, reason, actor)

    async def rebuild_rows(self, store: Store, swap_ids: Sequence[int], actor: str, **how: Any) -> Any:
        return await app.rebuild_rows(store, swap_ids, actor, **how)

    async def rebuild_from_chain(self, settings: Settings, actor: str, **how: Any) -> Mapping[str, Any]:
        self.calls.append(f"from_chain {how['do']} {how['wait_s']:g}")
        return self.rebuilt

    async def wallets(self, settings: Settings, miner: str | None) -> Sequence[Purse]:
        return [purse for purse in self.purses if miner in (None, purse.miner)]

    async def standings(self, settings: Settings, miner: str | None) -> Standings:
        return Standings([each for each in self.standing if miner in (None, each[0])], 100, self.sent)

    async def quotes(self, settings: Settings, miner: str | None, *, read: bool = True) -> Quotes:
        if isinstance(self.quoted, MinerError):
            raise self.quoted
        return self.quoted

    def read_recovery(self, settings: Settings) -> tuple[Sequence[Mapping[str, Any]], Sequence[str]]:
        return app.read_recovery(settings)

    async def notify_overview(self, settings: Settings, store: Store) -> Mapping[str, Any]:
        return await app.notify_overview(settings, store)

    async def notify_test(self, settings: Settings, name: str | None) -> Sequence[Mapping[str, Any]]:
        return await app.notify_test(settings, name)

    def outbox(self, settings: Settings, store: Store) -> Outbox:
        return app.outbox(settings, store)

    def read_log(self, *args: Any) -> list[dict[str, Any]]:
        return app.read_log(*args)

    async def backup(self, *args: Any) -> dict[str, Any]:
        return await app.backup(*args)

    async def restore(self, *args: Any, **how: Any) -> dict[str, Any]:
        return await app.restore(*args, **how)

    def parse_sent_cache(self, path: Path) -> Sequence[ImportedSend]:
        return app.parse_sent_cache(path)


@dataclass
class World:
    """A folder with settings, and what to run commands with."""

    config: Path
    wired: Wired

    @property
    def settings(self) -> Settings:
        return load(self.config)

    def with_store(self, work: Callable[[SqlStore], Awaitable[T]]) -> T:
        async def doing() -> T:
            store = SqlStore(self.settings.store.file)
            await store.open()
            try:
                return await work(store)
            finally:
                await store.close()

        return asyncio.run(doing())


def world_in(folder: Path) -> World:
    return World(write_settings(folder), Wired())
