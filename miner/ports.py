"""What the daemon needs of the outside. Services know these protocols and never an adapter.

Every method that reads raises `ReadFailed` when it learned nothing; a value (or `None`) always means
*authoritatively so, at the named block*. Every method that acts raises a member of `EffectError` when it
did not end well: `NotSent`, `OutcomeUnknown` or `Refused`. Store methods raise `StoreError`s. Each call
has its own time limit, from the config.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from miner.amounts import Chain
from miner.model import (
    AccountRow,
    BlockFacts,
    Claim,
    Ending,
    Head,
    ImportedSend,
    Ingest,
    JournalEntry,
    Lane,
    LanePurpose,
    Lease,
    Mark,
    Payment,
    PaymentClaim,
    PayoutOrder,
    Pending,
    PendingRecovery,
    Replacement,
    Saga,
    Sighting,
    Step,
    Swap,
    Terms,
)
from miner.saga import State


@dataclass(frozen=True, slots=True)
class Heads:
    """The chain's two heads as last heard.

    Attributes:
        best: Highest head known.
        finalised: Newest finalised head.
    """

    best: Head
    finalised: Head


class Clock(Protocol):
    """Time for waiting and back-off; never for leases (the database's clock) or deadlines (blocks)."""

    def monotonic(self) -> float:
        """Seconds since some start, never going back."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Node(Protocol):
    """The contract's chain."""

    @property
    def genesis(self) -> str:
        """Genesis hash, `0x` + 64 hex; empty before `connect` where the config names none."""

    async def connect(self) -> None:
        """Connect to the first endpoint that answers for the right genesis."""

    async def close(self) -> None:
        """Close every connection; idempotent."""

    def follow(self) -> AsyncIterator[Heads]:
        """The heads now, and again at each change, for ever; reconnects and fails over by itself.

        Fast blocks may be skipped: the reader fills gaps by height. Raises `ReadFailed` only when no
        endpoint has answered for the configured time; may then be called again.
        """

    async def hash_at(self, height: int) -> str | None:
        """Hash of the block at `height` on the best chain; None where there is none yet."""

    def best_height(self) -> int:
        """Highest fresh best head heard from any endpoint; 0 before the first."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """Why a finalised mark did not take effect.

    Attributes:
        name: The contract error's name from the metadata, or a transient one (`CALL_FAILED`,
            `INSUFFICIENT_BALANCE`, `RPC_FAILURE`, `UNKNOWN`).
        terminal: Whether the contract itself said it, by a named error.
    """

    name: str
    terminal: bool


class SwapContract(Protocol):
    """Reads of the swap contract, and its marks. All reads are at the block they name."""

    address: str

    @property
    def genesis(self) -> str:
        """Genesis hash of the chain it is on; see `Node.genesis`."""

    async def facts(self, head: Head) -> BlockFacts:
        """The contract's events, time and parent of one block."""

    async def swaps(self, ids: Sequence[int], at: Head) -> Mapping[int, Swap | None]:
        """Swaps by id; None for one the contract does not hold. One read where the metadata allows.

        An id whose data does not decode is missing from the mapping: nothing was learned of it.
        """

    async def open_swaps(self, miners: Collection[str], at: Head, known: int) -> Sequence[Swap]:
        """Open swaps of these miners, found without events.

        By `get_active_swaps` where the metadata has it, else by reading every id from `known` (first id
        not yet looked at) to `get_next_swap_id`.
        """

    async def next_swap_id(self, at: Head) -> int:
        """The id that the next swap will get."""

    async def outcome(self, swap_id: int, at: Head) -> Ending | None:
        """How an ended swap ended; None where the contract cannot tell."""

    async def terms(self, at: Head) -> Terms:
        """The contract's settings and code hash; cached by code and setting events where possible."""

    async def code_hash(self, at: Head) -> str:
        """Hash of the contract's code at a block, read now; `0x` + 64 hex.

        Raises:
            Refused: `no_code`: there is no contract at the address.
        """

    async def try_mark(self, mark: Mark, at: Head) -> None:
        """Dry-run a mark.

        Raises:
            Refused: The contract's named error.
            ReadFailed: Anything else, an unknown variant included.
        """

    async def prepare_mark(self, mark: Mark) -> Claim:
        """A claim for a mark lane on the miner's hotkey."""

    async def resign_mark(self, lane: Lane, mark: Mark) -> Replacement:
        """The same mark again in its lane, with a fresh era."""

    async def fill_mark(self, lane: Lane) -> Replacement:
        """A filler in a mark's lane whose swap has ended, since its nonce would block the next mark."""

    async def why_failed(self, lane: Lane, mark: Mark) -> Judgement:
        """Why a finalised mark reverted, by a dry run against its block's parent."""

    async def broadcast(self, lane: Lane) -> None:
        """Send the lane's newest attempt again. See `Rail.broadcast`."""

    async def locate(self, lane: Lane) -> Sighting:
        """Look for the lane's attempts. See `Rail.locate`."""


class Rail(Protocol):
    """One chain that money moves on. Knows accounts, lanes and payments; nothing of sagas."""

    chain: Chain

    @property
    def chain_id(self) -> str:
        """Chain id of its accounts (`tao:<genesis>`, `btc:<genesis>`); known after `connect`."""

    async def connect(self) -> None:
        """Connect and check that the node is of the configured network; accounts are ours to sign for."""

    async def close(self) -> None:
        """Release everything; idempotent."""

    async def tip(self) -> Head:
        """The head that `verify`'s answer is true at: finalised (TAO), best (BTC). Cached for one tick."""

    def check_recipient(self, address: str) -> None:
        """Refuse an address that a payout must not go to.

        Raises:
            Refused: `bad_address`, `recipient_of_another_network`, `recipient_is_sender` (ours).
        """

    def same_address(self, one: str, other: str) -> bool:
        """Whether two strings name one account, however they are written."""

    def canonical_txid(self, text: str) -> str:
        """The one way to write a transaction id.

        Raises:
            Refused: `bad_txid`.
        """

    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """Look whether the user's payment is on the canonical chain, deep enough, and as claimed.

        Raises:
            Refused: On final evidence that it is not: `wrong_amount`, `wrong_sender`, `wrong_recipient`,
                `payment_failed`, `too_old`, `bad_txid`.
        """

    async def still_good(self, payment: Payment) -> bool:
        """Whether a verified payment is still canonical; costs nothing while the tip is unchanged."""

    async def spendable(self, account: str) -> int:
        """What could leave the account now, smallest unit: confirmed, above the existential deposit."""

    async def fee(self, order: PayoutOrder) -> int:
        """What the network fee of this payout will be at most, smallest unit."""

    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, age_blocks: int, slots: Collection[str]
    ) -> bool:
        """Whether the account may have paid an order before accounting for it began at `row.base`.

        Args:
            row: The payout account.
            order: The payout in question.
            age_blocks: Blocks of the contract's chain, whose blocks are the shortest, since its swap began.
            slots: Slots of the account that belong to lanes: what those spent is accounted for.
        """

    async def prepare(self, order: PayoutOrder, taken: Collection[str], after: str | None = None) -> Claim:
        """A claim for a payout lane.

        Args:
            order: What to pay.
            taken: Slots of the account that belong to lanes already (Bitcoin: outpoints not to touch).
            after: Id of the transaction that took this payout's previous lane. Bitcoin: the new lane spends
                an output of it, or waits for 100 confirmations.

        Raises:
            Refused: `insufficient_funds`, `fee_too_high`, `too_late` (no era fits before `die_by`),
                `lane_not_settled` (`after` is neither spendable nor deep enough).
            ReadFailed: Nothing was learned; nothing was signed that could leave.
        """

    async def resign(self, lane: Lane, order: PayoutOrder) -> Replacement:
        """The same payout again in its lane, after its bytes became invalid. Errors as for `prepare`."""

    async def cancel(self, lane: Lane) -> Replacement:
        """A filler for the lane that pays nobody. Errors as for `prepare`."""

    async def broadcast(self, lane: Lane) -> None:
        """Send the lane's newest attempt; being known already is success.

        Raises:
            NotSent: It did not leave.
            OutcomeUnknown: It may have left.
            Refused: The pool's word: a hint, never proof.
        """

    async def locate(self, lane: Lane) -> Sighting:
        """Look for the lane's attempts in pool and blocks, and for whoever took its slot."""

    async def find_payout(self, account: str, order: PayoutOrder, txid: str, near: int) -> Sighting | None:
        """Look for a payout that another program says it made (`txid` may be a guess).

        Returns:
            A final `IN_BLOCK` sighting of a transaction by `account` that pays exactly `order`; None when
            it could not be located, which never means that it does not exist.
        """

    async def baseline(self, account: str) -> int:
        """Where accounting for the account begins: its finalised nonce (TAO), its best height (BTC)."""

    async def unexplained(self, row: AccountRow, slots: Collection[str]) -> Sequence[str]:
        """Law 9: spends since `row.base` that none of `slots` explains, in words; empty when all is well.

        A finalised nonce below `row.high_water` that no lane awaits is reported as `nonce went back`.
        """


class Store(Protocol):
    """The one database. Every method is one transaction; its clock is the database's, in ms UTC.

    `StoreUnavailable` from a write means *not known to be written*: read back by key before acting.
    """

    owner: str

    async def open(self) -> None:
        """Check and migrate the schema.

        Raises:
            SchemaTooOld: The file was written by a newer program.
            StoreDamaged: It is damaged or no store of ours.
            StoreUnavailable: It cannot be opened or written.
        """

    async def close(self) -> None:
        """Give back every lease of this process and close; idempotent."""

    async def bind(self, genesis: str, contract: str) -> None:
        """Tie the store to one contract on one chain, for good.

        Raises:
            StoreDamaged: It is tied to another; says which.
        """

    async def pin(self, name: str, value: str) -> str:
        """The value first pinned under `name`: `value` itself the first time."""

    async def repin(self, name: str, value: str, actor: str) -> str:
        """Pin another value after a person looked, with a note of who; returns what was pinned before."""

    async def now_ms(self) -> int:
        """The database's clock."""

    # leases

    async def acquire(self, resource: str) -> Lease:
        """Take or renew a lease.

        Raises:
            LeaseLost: Another owner holds it; says who and until when.
        """

    async def heartbeat(self) -> Sequence[str]:
        """Extend every unexpired lease of this owner; returns resources whose lease had expired."""

    async def lease_sagas(self) -> int:
        """Take every saga that no other owner holds and that is open or has a lane still open.

        Returns:
            How many this owner now holds.
        """

    # the chain

    async def cursor(self) -> Head | None:
        """The finalised head up to which everything was taken in."""

    async def recent_heads(self, limit: int = 64) -> Sequence[Head]:
        """Stored finalised heads at or below the cursor, newest first."""

    async def rewind(self, to: Head, lease: Lease) -> None:
        """After a finality violation: put the cursor back to a common ancestor.

        Ends of open sagas above it are forgotten, and lanes that a block above it closed are open again;
        a saga that had ended by such a block gets a recovery entry, since its state never changes.
        """

    async def ingest(self, batch: Ingest, lease: Lease) -> Sequence[int]:
        """Store what finalised blocks brought together with the cursor; new sagas are leased to us.

        Returns:
            Swap ids of new sagas.

        Raises:
            LeaseLost: The `watch` lease is not ours any more.
            StaleSaga: The cursor is not `batch.previous`.
        """

    async def reserved_at(self, miner: str) -> tuple[int, int] | None:
        """Newest `MinerReserved` of a miner: (height, time in ms)."""

    # sagas

    async def open_sagas(self) -> Sequence[Saga]:
        """Every saga of this owner's leases that is open, or has ended with a lane still open.

        Earliest deadline first.
        """

    async def saga(self, swap_id: int) -> Saga | None:
        """One saga, whoever holds it."""

    async def known(self, swap_ids: Collection[int]) -> Mapping[int, State]:
        """States of those of the swaps that have a saga."""

    async def first_unseen_id(self) -> int:
        """One above the highest swap id ever looked at by a scan; 0 at first."""

    async def set_first_unseen_id(self, swap_id: int) -> None:
        """Remember how far a scan has looked."""

    async def list_sagas(
        self,
        states: Collection[State] = (),
        miner: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Saga]:
        """Sagas by swap id, newest first, for people."""

    async def count_by_state(self) -> Mapping[State, int]:
        """How many sagas stand in each state."""

    async def journal(self, saga_id: int) -> Sequence[JournalEntry]:
        """A saga's journal, oldest first."""

    async def step(self, saga: Saga, step: Step, actor: str = "daemon") -> Saga:
        """The compare-and-set: everything in `step`, or nothing.

        Raises:
            InvariantBroken: The table knows no such move.
            StaleSaga: Somebody moved the saga first; or, with a claim for a payout, its account was stopped
                or its swap named by an imported sent cache meanwhile.
            LeaseLost: We do not hold its lease at its epoch.
            SlotTaken: The claim's slot belongs to another lane.
            Refused: `source_tx_used` when the payment backs another saga; `per_hour_cap` is not judged here.
        """

    # lanes

    async def open_lanes(self) -> Sequence[Lane]:
        """Lanes that are not closed, of open and ended sagas alike."""

    async def sight(self, lane: Lane, sighting: Sighting) -> Lane:
        """Store what a look showed; a look older than the stored one changes nothing."""

    async def slots(self, chain: str, account: str) -> Collection[str]:
        """Every slot of the account that belongs to a lane."""

    async def freed_by(self, saga_id: int) -> str | None:
        """Id of the transaction that took the newest payout lane the saga lost; None where it lost none."""

    # money

    async def reserved(self, chain: str, account: str) -> int:
        """Sum of amount and fee set aside and not yet landed on an account, smallest unit.

        Where slots are coins, without payouts that are signed: `Rail.spendable` leaves out their coins.
        """

    async def outflow(self, chain: str, since_ms: int) -> int:
        """Sum of payouts signed on a chain since a time and not withdrawn, and of what is set aside now."""

    async def account(self, chain: str, account: str, base: int) -> AccountRow:
        """The account's row; written with `base` when it is new."""

    async def stop_account(self, chain: str, account: str, why: str) -> bool:
        """Stop first sends on an account; whether it was not stopped before."""

    async def clear_account(self, chain: str, account: str, base: int, actor: str) -> bool:
        """Let first sends go on after a person looked; spends before `base` count as explained."""

    # operator

    async def leases(self) -> Sequence[Lease]:
        """Every lease that is held and not expired, whoever holds it."""

    async def accounts(self) -> Sequence[AccountRow]:
        """Every account the store knows."""

    async def paused(self) -> Collection[str]:
        """What is paused: `all`, or chain names."""

    async def set_paused(self, what: str, paused: bool, actor: str) -> bool:
        """Pause or resume; whether it changed."""

    async def imported(self, swap_id: int) -> ImportedSend | None:
        """What an imported sent cache says of a swap."""

    async def imports(self, swap_ids: Collection[int]) -> Mapping[int, ImportedSend]:
        """What imported sent caches say, by swap id."""

    async def import_sent(self, sends: Sequence[ImportedSend]) -> int:
        """Take in another program's sent cache; returns how many lines were new."""

    async def pending_recovery(self) -> Sequence[PendingRecovery]:
        """Recovery entries not yet in the log file, oldest first."""

    async def recovery_written(self, entry_id: int) -> None:
        """The entry is in the file, synced."""


class RecoveryLog(Protocol):
    """The append-only recovery log."""

    async def append(self, pending: PendingRecovery) -> None:
        """Append and sync one line; an id already in the file is left as it is.

        Raises:
            StoreUnavailable: It could not be written.
        """


class Tell(Protocol):
    """Where the supervisor reports life and readiness (systemd, metrics)."""

    def ready(self, is_ready: bool, why: str) -> None:
        """Say whether swaps can be served, and why not."""

    def progress(self) -> None:
        """A new head was worked on: feeds the watchdog."""


@dataclass(frozen=True, slots=True)
class RawContractEvent:
    """A `Contracts.ContractEmitted` as the chain holds it.

    Attributes:
        contract: The emitting contract, SS58 (prefix 42).
        data: SCALE bytes of the event.
        topics: The record's topics, 32 bytes each.
        index: Its place among the block's events.
    """

    contract: str
    data: bytes
    topics: tuple[bytes, ...]
    index: int


@dataclass(frozen=True, slots=True)
class RawBlock:
    """What one read of a block's state gives: time, and contract events undecoded."""

    head: Head
    parent_hash: str
    time_ms: int
    events: tuple[RawContractEvent, ...]


class Substrate(Protocol):
    """The substrate node as the contract adapter sees it; replies of one block are cached."""

    @property
    def genesis(self) -> str:
        """See `Node.genesis`."""

    async def raw_block(self, head: Head) -> RawBlock:
        """Time, parent and contract events of a block, in as few requests as the node allows."""

    async def state_call(self, method: str, data: bytes, at: str) -> bytes:
        """A runtime call's raw reply at a block hash."""

    async def storage(self, module: str, item: str, params: Sequence[object], at: str) -> object:
        """A decoded storage value at a block hash; None where there is none."""

    def contract_call(self, contract: str, data: bytes, ref_time: int, proof_size: int) -> bytes:
        """SCALE bytes of `Contracts.call` without value; raises `ReadFailed` before `connect`."""


class CallLanes(Protocol):
    """Nonce lanes on the substrate chain: any call, any account we can sign for.

    A payout's success is a `Balances.Transfer` event of the lane's account to its recipient over its
    amount; a mark's is `System.ExtrinsicSuccess`.
    """

    @property
    def chain_id(self) -> str:
        """`tao:<genesis>`; known after the node has connected."""

    async def prepare(
        self,
        account: str,
        call: bytes,
        purpose: LanePurpose,
        recipient: str,
        amount: int,
        die_by: int | None,
        max_fee: int,
    ) -> Claim:
        """A claim for a new lane. Errors as for `Rail.prepare`."""

    async def resign(self, lane: Lane, call: bytes, die_by: int | None, max_fee: int) -> Replacement:
        """A fresh attempt in the lane. Errors as for `Rail.prepare`."""

    async def filler(self, lane: Lane, max_fee: int) -> Replacement:
        """A `System.remark` in the lane's nonce that outbids what may be in the pool."""

    async def broadcast(self, lane: Lane) -> None:
        """See `Rail.broadcast`."""

    async def locate(self, lane: Lane) -> Sighting:
        """See `Rail.locate`."""
