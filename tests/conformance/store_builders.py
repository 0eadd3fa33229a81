"""Swaps, lanes and steps for the store's suite, and a clock that the tests move."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from miner.amounts import Chain
from miner.model import (
    AttemptKind,
    Claim,
    Discovery,
    Head,
    Ingest,
    Lane,
    LanePurpose,
    Payment,
    RecoveryEntry,
    Replacement,
    Reservation,
    Saga,
    SagaPatch,
    Sighting,
    SightingKind,
    SignedTx,
    Step,
    Swap,
    SwapStatus,
)
from miner.ports import Store
from miner.saga import Event

GENESIS = "0x" + "aa" * 32
CONTRACT = "5Contract"
TAO = f"tao:{GENESIS}"
BTC = "btc:" + "bb" * 32
PAYER, HOTKEY, USER = "5Payer", "5Hotkey", "5User"
AMOUNT = 2_000_000_000
MARK_FEE = 7


@dataclass
class VirtualClock:
    """The database's clock, moved by hand."""

    now_ms: int = 1_700_000_000_000

    def __call__(self) -> int:
        return self.now_ms

    def pass_s(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


def head(height: int, fork: int = 0) -> Head:
    return Head(height, f"0x{fork:032x}{height:032x}")


def swap(swap_id: int, **changes: Any) -> Swap:
    base = Swap(
        id=swap_id,
        user="5UserOnContract",
        miner=HOTKEY,
        source_chain="btc",
        dest_chain="tao",
        source_amount=100_000,
        dest_amount=2**70 if swap_id == 999 else AMOUNT,
        tao_amount=AMOUNT,
        user_source_address="bc1quser",
        user_dest_address=USER,
        miner_source_address="bc1qminer",
        miner_dest_address=PAYER,
        rate="345.5",
        source_tx_hash=f"{swap_id:064x}",
        source_tx_block=800_000,
        dest_tx_hash="",
        dest_tx_block=0,
        status=SwapStatus.ACTIVE,
        initiated_block=10,
        timeout_block=1000 + swap_id,
        fulfilled_block=0,
        completed_block=0,
    )
    return replace(base, **changes)


def payment(number: int) -> Payment:
    return Payment(Chain.BTC, f"{number:064x}", 800_000, "00" * 32, 100_000, "11" * 32)


_serial = iter(range(1, 10**9))


@dataclass
class Signer:
    """Signs whatever slot it is given, and remembers."""

    spends: tuple[str, ...] | None = None
    further: tuple[str, ...] = ()
    txid: str | None = None
    birth: int | None = 5
    death: int | None = 500
    fails: Exception | None = None
    slots: list[str] = field(default_factory=list)

    def __call__(self, slot: str) -> SignedTx:
        self.slots.append(slot)
        if self.fails is not None:
            raise self.fails
        spends = self.spends if self.spends is not None else (slot, *self.further)
        return tx(*spends, txid=self.txid, birth=self.birth, death=self.death)


def tx(*spends: str, txid: str | None = None, birth: int | None = 5, death: int | None = 500) -> SignedTx:
    return SignedTx(txid or f"0x{next(_serial):064x}", b"secret bytes", 11, birth, death, spends)


def payout_claim(sign: Signer | None = None, **changes: Any) -> Claim:
    base = Claim(TAO, PAYER, LanePurpose.PAYOUT, sign or Signer(), USER, AMOUNT, nonce_floor=3)
    return replace(base, **changes)


def anchor_claim(anchor: str, sign: Signer | None = None) -> Claim:
    sign = sign or Signer(birth=None, death=None)
    return Claim(BTC, "bc1qpayer", LanePurpose.PAYOUT, sign, "bc1quser", 50_000, anchor=anchor)


def mark_claim(sign: Signer | None = None, floor: int = 0) -> Claim:
    return Claim(TAO, HOTKEY, LanePurpose.MARK, sign or Signer(), CONTRACT, 0, nonce_floor=floor)


def reservation(amount: int = AMOUNT, fee: int = 1000) -> Reservation:
    return Reservation(TAO, PAYER, amount, fee, HOTKEY, MARK_FEE)


def recovery(cause: str = "timed_out_after_payout") -> RecoveryEntry:
    return RecoveryEntry(cause, "run `swap-miner evidence`", {"amount": str(2**80)})


def seen(kind: SightingKind, at: int, lane: Lane | None = None, **changes: Any) -> Sighting:
    """A sighting; in a block: of the lane's newest attempt."""
    if kind is SightingKind.IN_BLOCK and lane is not None:
        latest = lane.latest
        found: dict[str, Any] = {
            "txid": latest.tx.txid,
            "block": head(at),
            "succeeded": True,
            "kind_seen": latest.kind,
        }
        changes = {**found, **changes}
    return Sighting(kind, head(at), **changes)


def filler(lane: Lane, txid: str | None = None) -> Replacement:
    return Replacement(lane.id, AttemptKind.FILLER, tx(lane.slot, txid=txid))


def resigned(lane: Lane, *further: str) -> Replacement:
    return Replacement(lane.id, AttemptKind.PAYMENT, tx(lane.slot, *further))


async def discover(store: Store, *swap_ids: int) -> list[Saga]:
    """Ingest new swaps with the next block; gives their sagas."""
    lease = await store.acquire("watch")
    cursor = await store.cursor()
    block = head(cursor.height + 1 if cursor else 100)
    await store.ingest(Ingest(cursor, (block,), tuple(Discovery(swap(i)) for i in swap_ids)), lease)
    return [await get(store, i) for i in swap_ids]


async def get(store: Store, swap_id: int) -> Saga:
    found = await store.saga(swap_id)
    assert found is not None
    return found


async def verified(store: Store, swap_id: int) -> Saga:
    (saga,) = await discover(store, swap_id)
    patch = SagaPatch(payment=payment(swap_id))
    return await store.step(saga, Step(event=Event.SOURCE_VERIFIED, patch=patch))


async def reserved(store: Store, swap_id: int) -> Saga:
    saga = await verified(store, swap_id)
    return await store.step(saga, Step(event=Event.INVENTORY_RESERVED, reserve=reservation()))


async def signed(store: Store, swap_id: int, claim: Claim | None = None) -> Saga:
    saga = await reserved(store, swap_id)
    return await store.step(saga, Step(event=Event.PAYOUT_SIGNED, claim=claim or payout_claim()))


async def paid(store: Store, swap_id: int, claim: Claim | None = None, final: bool = True) -> Saga:
    saga = await signed(store, swap_id, claim)
    lane = payout_of(saga)
    await store.sight(lane, seen(SightingKind.IN_BLOCK, 200, lane, final=final))
    return await store.step(saga, Step(event=Event.PAYOUT_INCLUDED))


async def marking(store: Store, swap_id: int) -> Saga:
    saga = await paid(store, swap_id)
    return await store.step(saga, Step(event=Event.MARK_SIGNED, claim=mark_claim()))


async def held(store: Store, swap_id: int) -> Saga:
    (saga,) = await discover(store, swap_id)
    return await store.step(saga, Step(event=Event.HELD_FOR_OPERATOR, recovery=recovery("held")))


def payout_of(saga: Saga) -> Lane:
    assert saga.payout is not None
    return saga.payout


def mark_of(saga: Saga) -> Lane:
    assert saga.mark is not None
    return saga.mark
