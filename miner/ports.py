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
from miner.boundary import acts, reads
from miner.model import (
    AccountRow,
    Affair,
    Alarm,
    Asked,
    Audit,
    BlockFacts,
    Claim,
    Delivery,
    DeliveryStanding,
    Ending,
    FeedEntry,
    Head,
    ImportedSend,
    Ingest,
    JournalEntry,
    Json,
    Lane,
    LanePurpose,
    Lease,
    Mark,
    MinerStanding,
    NoticeKind,
    OperatorRequest,
    Outcome,
    Payment,
    PaymentClaim,
    PayoutOrder,
    Pending,
    PendingRecovery,
    RecoveryEntry,
    Replacement,
    Route,
    Saga,
    Sighting,
    Since,
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


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How a node stands.

    Attributes:
        url: Its address, without credentials.
        connected: Whether it is of use now.
        used: Whether it is the one in use.
        best: Highest head it told; None before the first.
        finalised: Newest finalised head it told; None before the first.
        silent_s: Seconds since it told anything.
        why: Why it is of no use, in words; empty where it is.
    """

    url: str
    connected: bool
    used: bool
    best: int | None
    finalised: int | None
    silent_s: float
    why: str = ""


class Clock(Protocol):
    """Time for waiting and back-off; never for leases (the database's clock) or deadlines (blocks)."""

    @reads
    def monotonic(self) -> float:
        """Seconds since some start, never going back."""

    @reads
    async def sleep(self, seconds: float) -> None:
        """Wait."""


class Node(Protocol):
    """The contract's chain."""

    @property
    def genesis(self) -> str:
        """Genesis hash, `0x` + 64 hex; empty before `connect` where the config names none."""

    @reads
    async def connect(self) -> None:
        """Connect to the first endpoint that answers for the right genesis."""

    @reads
    async def close(self) -> None:
        """Close every connection; idempotent."""

    @reads
    def follow(self) -> AsyncIterator[Heads]:
        """The heads now, and again at each change, for ever; reconnects and fails over by itself.

        Fast blocks may be skipped: the reader fills gaps by height. Raises `ReadFailed` only when no
        endpoint has answered for the configured time; may then be called again.
        """

    @reads
    async def hash_at(self, height: int) -> str | None:
        """Hash of the block at `height` on the best chain; None where there is none yet."""

    @reads
    def best_height(self) -> int:
        """Highest fresh best head heard from any endpoint; 0 before the first."""

    @reads
    def ask_another(self) -> None:
        """What one endpoint said is to be looked at again: ask another from now on, where one answers."""


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

    @reads
    async def facts(self, head: Head) -> BlockFacts:
        """The contract's events, time and parent of one block."""

    @reads
    async def swaps(self, ids: Sequence[int], at: Head) -> Mapping[int, Swap | None]:
        """Swaps by id; None for one the contract does not hold. One read where the metadata allows.

        An id whose data does not decode is missing from the mapping: nothing was learned of it.
        """

    @reads
    async def open_swaps(self, miners: Collection[str], at: Head, known: int) -> Sequence[Swap]:
        """Open swaps of these miners, found without events.

        By `get_active_swaps` where the metadata has it, else by reading every id from `known` (first id
        not yet looked at) to `get_next_swap_id`.
        """

    @reads
    async def next_swap_id(self, at: Head) -> int:
        """The id that the next swap will get."""

    @reads
    async def outcome(self, swap_id: int, at: Head) -> Ending | None:
        """How an ended swap ended; None where the contract cannot tell."""

    @reads
    async def terms(self, at: Head) -> Terms:
        """The contract's settings and code hash; cached by code and setting events where possible."""

    @reads
    async def code_hash(self, at: Head) -> str:
        """Hash of the contract's code at a block, read now; `0x` + 64 hex.

        Raises:
            Refused: `no_code`: there is no contract at the address.
        """

    @reads
    async def try_mark(self, mark: Mark, at: Head) -> None:
        """Dry-run a mark.

        Raises:
            Refused: The contract's named error.
            ReadFailed: Anything else, an unknown variant included.
        """

    @acts
    async def prepare_mark(self, mark: Mark) -> Claim:
        """A claim for a mark lane on the miner's hotkey."""

    @acts
    async def resign_mark(self, lane: Lane, mark: Mark) -> Replacement:
        """The same mark again in its lane, with a fresh era."""

    @acts
    async def fill_mark(self, lane: Lane) -> Replacement:
        """A filler in a mark's lane whose swap has ended, since its nonce would block the next mark."""

    @reads
    async def why_failed(self, lane: Lane, mark: Mark) -> Judgement:
        """Why a finalised mark reverted, by a dry run against its block's parent."""

    @acts
    async def broadcast(self, lane: Lane) -> None:
        """Send the lane's newest attempt again. See `Rail.broadcast`."""

    @reads
    async def locate(self, lane: Lane) -> Sighting:
        """Look for the lane's attempts. See `Rail.locate`."""


class Affairs(Protocol):
    """A miner's own business with the contract, which no swap owns: collateral, and being active."""

    @reads
    async def standing(self, miner: str, at: Head) -> MinerStanding:
        """How a miner stands with the contract at a block; None for what this contract does not tell."""

    @reads
    async def try_affair(self, affair: Affair, at: Head) -> None:
        """Dry-run a call.

        Raises:
            Refused: The contract's named error; `no_such_message` where it has no such message.
            ReadFailed: Anything else, an unknown variant included.
        """

    @acts
    async def prepare_affair(self, affair: Affair, at: Head) -> Claim:
        """A claim for a lane on the miner's hotkey, its gas measured at a block.

        Raises:
            Refused: As for `try_affair`; or see `CallLanes.prepare`.
            ReadFailed: Nothing was learned.
        """


class Rail(Protocol):
    """One chain that money moves on. Knows accounts, lanes and payments; nothing of sagas."""

    chain: Chain

    @property
    def chain_id(self) -> str:
        """Chain id of its accounts (`tao:<genesis>`, `btc:<genesis>`); known after `connect`."""

    @reads
    async def connect(self) -> None:
        """Connect and check that the node is of the configured network; accounts are ours to sign for."""

    @reads
    async def close(self) -> None:
        """Release everything; idempotent."""

    @reads
    async def tip(self) -> Head:
        """The head that `verify`'s answer is true at: finalised (TAO), best (BTC). Cached for one tick."""

    @reads
    def check_recipient(self, address: str) -> None:
        """Refuse an address that a payout must not go to.

        Raises:
            Refused: `bad_address`, `recipient_of_another_network`, `recipient_is_sender` (ours).
        """

    @reads
    def same_address(self, one: str, other: str) -> bool:
        """Whether two strings name one account, however they are written."""

    @reads
    def canonical_txid(self, text: str) -> str:
        """The one way to write a transaction id.

        Raises:
            Refused: `bad_txid`.
        """

    @reads
    async def verify(self, claim: PaymentClaim) -> Payment | Pending:
        """Look whether the user's payment is on the canonical chain, deep enough, and as claimed.

        Raises:
            Refused: On final evidence that it is not: `wrong_amount`, `wrong_sender`, `wrong_recipient`,
                `payment_failed`, `too_old`, `bad_txid`.
        """

    @reads
    async def still_good(self, payment: Payment) -> bool:
        """Whether a verified payment is still canonical; costs nothing while the tip is unchanged."""

    @reads
    async def spendable(self, account: str) -> int:
        """What could leave the account now, smallest unit: confirmed, above the existential deposit."""

    @reads
    async def fee(self, order: PayoutOrder) -> int:
        """What the network fee of this payout will be at most, smallest unit."""

    @reads
    async def may_have_paid(
        self, row: AccountRow, order: PayoutOrder, since: Since, slots: Collection[str]
    ) -> bool:
        """Whether a spend of the account since a swap began, by none of `slots`, may have paid its order.

        A spend that is known to give the recipient nothing has not. What cannot be known any more may have.

        Args:
            row: The payout account.
            order: The payout in question.
            since: When its swap began.
            slots: Slots of the account that belong to lanes: what those spent is accounted for.

        Raises:
            ReadFailed: Nothing was learned; also while such a spend waits to be final and cannot be read.
        """

    @acts
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

    @acts
    async def resign(self, lane: Lane, order: PayoutOrder) -> Replacement:
        """The same payout again in its lane, after its bytes became invalid. Errors as for `prepare`."""

    @acts
    async def cancel(self, lane: Lane) -> Replacement:
        """A filler for the lane that pays nobody. Errors as for `prepare`."""

    @acts
    async def broadcast(self, lane: Lane) -> None:
        """Send the lane's newest attempt; being known already is success.

        Raises:
            NotSent: It did not leave.
            OutcomeUnknown: It may have left.
            Refused: The pool's word: a hint, never proof.
        """

    @reads
    async def locate(self, lane: Lane) -> Sighting:
        """Look for the lane's attempts in pool and blocks, and for whoever took its slot."""

    @reads
    async def find_payout(
        self, account: str, order: PayoutOrder, txid: str, near: int, not_before: int = 0
    ) -> Sighting | None:
        """Look for a payout that another program says it made (`txid` may be a guess).

        Args:
            account: Who pays.
            order: What is owed.
            txid: Its id; where it is none, the payout is looked for by what it paid.
            near: Height of the rail's chain that it is said to be in or near.
            not_before: First height of the rail's chain in which it can be; nothing below is taken for it.

        Returns:
            A final `IN_BLOCK` sighting of a transaction by `account` that pays exactly `order`; None when
            it could not be located, or more than one fits, which never means that it does not exist.
        """

    @reads
    async def payouts_since(self, order: PayoutOrder, since: Since) -> Sequence[Sighting]:
        """Every transaction of the order's account since its swap began that gives the recipient something.

        Each with its id, in a block (final or not) or in the pool. One that gives them otherwise than
        ordered, or may be older than the swap, is `AMBIGUOUS`. Nothing that is told here is a lane's.

        Args:
            order: What is owed.
            since: When its swap began.

        Raises:
            ReadFailed: Nothing was learned; also while a spend that cannot be read waits to be final.
        """

    @reads
    async def baseline(self, account: str) -> int:
        """Where accounting for the account begins: its finalised nonce (TAO), its best height (BTC)."""

    @reads
    async def unexplained(
        self, row: AccountRow, slots: Collection[str], *, waiting: bool = True
    ) -> Sequence[str]:
        """Law 9: spends since `row.base` that none of `slots` explains, in words; empty when all is well.

        Each is named by id, nonce or outpoint, block, amount and recipient, as far as these can be told; one
        that is not final yet counts. With `waiting`, what waits in a node's pool is asked for in any case, at
        the cost of a request. A finalised nonce below `row.seen`, or below `row.high_water` where no lane
        awaits it, is reported as `nonce went back`.
        """


class Store(Protocol):
    """The one database. Every method is one transaction; its clock is the database's, in ms UTC.

    `StoreUnavailable` from a write means *not known to be written*: read back by key before acting.
    """

    owner: str

    @acts
    async def open(self) -> None:
        """Check and migrate the schema.

        Raises:
            SchemaTooOld: The file was written by a newer program.
            StoreDamaged: It is damaged or no store of ours.
            StoreUnavailable: It cannot be opened or written.
        """

    @acts
    async def close(self) -> None:
        """Give back every lease of this process and close; idempotent."""

    @acts
    async def what_changed(self) -> str | None:
        """What of the database was found to be another than before, in words, once; else None.

        A server that was promoted, restored or copied may lack what had been committed last. From the moment
        it is found until this has been asked, every other call raises `StoreUnavailable`: whoever asks
        holds nothing of what it knew from the store for true any more.
        """

    @acts
    async def doubted_until(self, otherwise: int) -> int | None:
        """Height of the contract's chain up to which the store may lack lanes whose bytes have left.

        Args:
            otherwise: The height to keep where a doubt has none yet.

        Returns:
            None where there is no doubt.
        """

    @acts
    async def begin_doubt(self, actor: str, why: str) -> None:
        """From now on the store may lack lanes whose bytes have left: it was made anew."""

    @acts
    async def dispel_doubt(self) -> None:
        """End a doubt: all that a missing lane could hold is on its chain or dead, and was looked at."""

    @reads
    async def changed(self) -> None:
        """Return when another process may have changed something since this last returned.

        May return without need; never raises for what the store refuses, but waits.
        """

    @acts
    async def alone(self, what: str) -> bool:
        """Whether this process alone does something from now on, until `give_up` or a lost connection.

        It spares work done twice, and no more: what must not be done twice is fenced by leases.
        """

    @acts
    async def give_up(self, what: str) -> None:
        """End what `alone` began."""

    @acts
    async def bind(self, genesis: str, contract: str) -> None:
        """Tie the store to one contract on one chain, for good.

        Raises:
            StoreDamaged: It is tied to another; says which.
        """

    @acts
    async def pin(self, name: str, value: str) -> str:
        """The value first pinned under `name`: `value` itself the first time."""

    @acts
    async def repin(self, name: str, value: str, actor: str) -> str:
        """Pin another value after a person looked, with a note of who; returns what was pinned before."""

    @reads
    async def now_ms(self) -> int:
        """The database's clock."""

    # leases

    @acts
    async def acquire(self, resource: str) -> Lease:
        """Take or renew a lease.

        Raises:
            LeaseLost: Another owner holds it; says who and until when.
        """

    @acts
    async def heartbeat(self) -> Sequence[str]:
        """Extend every unexpired lease of this owner; returns resources whose lease had expired."""

    @acts
    async def lease_sagas(self) -> int:
        """Take every saga that no other owner holds and that is open or has a lane still open.

        Returns:
            How many this owner now holds.
        """

    # the chain

    @reads
    async def cursor(self) -> Head | None:
        """The finalised head up to which everything was taken in."""

    @reads
    async def recent_heads(self, limit: int = 64) -> Sequence[Head]:
        """Stored finalised heads at or below the cursor, newest first."""

    @acts
    async def rewind(self, to: Head, lease: Lease) -> None:
        """After a finality violation: put the cursor back to a common ancestor.

        Ends of open sagas above it are forgotten, and lanes that a block above it closed are open again;
        a saga that had ended by such a block gets a recovery entry, since its state never changes.
        """

    @acts
    async def ingest(self, batch: Ingest, lease: Lease) -> Sequence[int]:
        """Store what finalised blocks brought together with the cursor; new sagas are leased to us.

        Returns:
            Swap ids of new sagas.

        Raises:
            LeaseLost: The `watch` lease is not ours any more.
            StaleSaga: The cursor is not `batch.previous`.
        """

    @reads
    async def reserved_at(self, miner: str) -> tuple[int, int] | None:
        """Newest `MinerReserved` of a miner: (height, time in ms)."""

    # sagas

    @reads
    async def open_sagas(self) -> Sequence[Saga]:
        """Every saga of this owner's leases that is open, or has ended with a lane still open.

        Earliest deadline first.
        """

    @reads
    async def saga(self, swap_id: int) -> Saga | None:
        """One saga, whoever holds it."""

    @reads
    async def known(self, swap_ids: Collection[int]) -> Mapping[int, State]:
        """States of those of the swaps that have a saga."""

    @reads
    async def first_unseen_id(self) -> int:
        """One above the highest swap id ever looked at by a scan; 0 at first."""

    @acts
    async def set_first_unseen_id(self, swap_id: int) -> None:
        """Remember how far a scan has looked."""

    @reads
    async def list_sagas(
        self,
        states: Collection[State] = (),
        miner: str | None = None,
        limit: int = 100,
        before: int | None = None,
    ) -> Sequence[Saga]:
        """Sagas by swap id, newest first, for people."""

    @reads
    async def count_by_state(self) -> Mapping[State, int]:
        """How many sagas stand in each state."""

    @reads
    async def journal(self, saga_id: int) -> Sequence[JournalEntry]:
        """A saga's journal, oldest first."""

    @reads
    async def journal_since(self, position: int, limit: int = 200) -> Sequence[FeedEntry]:
        """Journal entries of all sagas after a position, in the order in which they were committed.

        Whoever reads on from the last position it has seen misses none, whichever process wrote them.
        """

    @reads
    async def last_position(self) -> int:
        """Position of the newest journal entry; 0 where there is none."""

    @reads
    async def next_deadlines(self) -> Mapping[State, int]:
        """The earliest `timeout_block` of the open sagas in each state."""

    @acts
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

    @reads
    async def open_lanes(self) -> Sequence[Lane]:
        """Lanes that are not closed, of open and ended sagas alike."""

    @acts
    async def sight(self, lane: Lane, sighting: Sighting) -> Lane:
        """Store what a look showed; a look older than the stored one changes nothing."""

    @reads
    async def slots(self, chain: str, account: str) -> Collection[str]:
        """Every slot of the account that belongs to a lane."""

    @reads
    async def freed_by(self, saga_id: int) -> str | None:
        """Id of the transaction that took the newest payout lane the saga lost; None where it lost none."""

    # money

    @reads
    async def reserved(self, chain: str, account: str) -> int:
        """Sum of amount and fee set aside and not yet landed on an account, smallest unit.

        Where slots are coins, without payouts that are signed: `Rail.spendable` leaves out their coins.
        """

    @reads
    async def outflow(self, chain: str, since_ms: int) -> int:
        """Sum of payouts signed on a chain since a time and not withdrawn, and of what is set aside now."""

    @acts
    async def account(self, chain: str, account: str, base: int) -> AccountRow:
        """The account's row; written with `base` when it is new."""

    @acts
    async def stop_account(self, chain: str, account: str, why: str) -> bool:
        """Stop first sends on an account; whether it was not stopped before."""

    @acts
    async def clear_account(self, chain: str, account: str, base: int, actor: str) -> bool:
        """Let first sends go on after a person looked; spends before `base` count as explained."""

    @acts
    async def saw_nonce(self, chain: str, account: str, nonce: int, height: int) -> None:
        """Remember an account's nonce at a finalised height, where it is the highest ever seen."""

    @reads
    async def strangers(self, chain: str, account: str) -> Collection[str]:
        """Slots of lanes that another program's transaction took, in the time that is accounted for."""

    @reads
    async def bytes_live_until(self, chain: str, account: str) -> int:
        """Height from which nothing that was signed for an account is valid; 0 where eras set no end."""

    # affairs

    @acts
    async def begin_affair(self, claim: Claim, lease: Lease, actor: str, detail: Mapping[str, Json]) -> Lane:
        """Allot a lane for a miner's own business, have it signed, store both, with a line in the log.

        Raises:
            LeaseLost: The `watch` lease is not ours any more.
            StaleSaga: First sends on the account are stopped.
        """

    @acts
    async def fill_affair(self, wish: Replacement, lease: Lease) -> Lane:
        """Store a filler in an affair's lane, whose bytes have died unused. Errors as for `begin_affair`."""

    @reads
    async def affairs(self, limit: int = 20) -> Sequence[Lane]:
        """Lanes that no swap owns, newest first, for people."""

    # operator

    @reads
    async def leases(self) -> Sequence[Lease]:
        """Every lease that is held and not expired, whoever holds it."""

    @reads
    async def accounts(self) -> Sequence[AccountRow]:
        """Every account the store knows."""

    @reads
    async def paused(self) -> Collection[str]:
        """What is paused: `all`, or chain names."""

    @acts
    async def set_paused(self, what: str, paused: bool, actor: str) -> bool:
        """Pause or resume; whether it changed."""

    @reads
    async def imported(self, swap_id: int) -> ImportedSend | None:
        """What an imported sent cache says of a swap."""

    @reads
    async def imports(self, swap_ids: Collection[int]) -> Mapping[int, ImportedSend]:
        """What imported sent caches say, by swap id."""

    @reads
    async def approved(self, swap_ids: Collection[int]) -> Mapping[int, int]:
        """Those of the swaps whose payout a person let go, with the amount that was let go."""

    @acts
    async def import_sent(self, sends: Sequence[ImportedSend]) -> int:
        """Take in another program's sent cache; returns how many lines were new."""

    @reads
    async def pending_recovery(self) -> Sequence[PendingRecovery]:
        """Recovery entries not yet in the log file, oldest first."""

    @acts
    async def recovery_written(self, entry_id: int) -> None:
        """The entry is in the file, synced."""

    @reads
    async def every_recovery(self) -> Sequence[PendingRecovery]:
        """Every recovery entry of this store, in the log file or not, oldest first."""

    @acts
    async def log_operator(self, actor: str, action: str, detail: Mapping[str, Json]) -> None:
        """Append to the operator's log."""

    # operators' requests

    @acts
    async def ask(self, asked: Sequence[Asked], ttl_ms: int) -> Sequence[int]:
        """Store requests for whoever works on their swaps; their ids. Nobody takes them after `ttl_ms`."""

    @reads
    async def requests(self, ids: Collection[int]) -> Sequence[OperatorRequest]:
        """These requests as they stand."""

    @acts
    async def withdraw(self, ids: Collection[int]) -> Sequence[OperatorRequest]:
        """Withdraw what nobody has taken; all of them as they stand then."""

    @acts
    async def take_requests(self) -> Sequence[OperatorRequest]:
        """Take every waiting request whose swap no other owner works on.

        Returns:
            Everything that this owner has taken and not answered, what it took before included.
        """

    @acts
    async def answer(self, request: OperatorRequest, outcome: Outcome) -> bool:
        """Answer a request that this owner has taken, with a line in the operator's log; whether it was."""

    @reads
    async def credited(self, chain: str, txid: str) -> Sequence[int]:
        """Ids of the swaps that a transaction has paid or was signed for, by this store's lanes."""

    @reads
    async def lanes_of(self, saga_id: int) -> Sequence[Lane]:
        """Every lane that a saga ever had, oldest first."""

    # upkeep

    @reads
    async def audit(
        self, after: int = -1, limit: int = 50, only: Collection[int] = (), ended: bool = False
    ) -> Sequence[Audit]:
        """Rows of sagas beside what their journals lead to, by swap id.

        Args:
            after: Only swaps above this id.
            limit: Most to look at.
            only: These swaps alone, however many; without regard to the others.
            ended: Whether sagas that have ended are looked at, too.
        """

    @acts
    async def reproject(self, swap_id: int, lease: Lease, actor: str) -> Audit:
        """Write a saga's row anew from its journal, with a note of what differed; returns what did.

        Raises:
            LeaseLost: The `watch` lease is not ours.
            InvariantBroken: There is no such saga, or no row follows from its journal.
        """

    @reads
    async def stale_leases(self) -> Sequence[Lease]:
        """Leases that ran out, of sagas that are open or have a lane still open."""

    @reads
    async def unreserved(self) -> Sequence[int]:
        """Open swaps that may still pay, and for which nothing is set aside."""

    @reads
    async def untold(self) -> Sequence[int]:
        """Swaps that were paid and ended uncredited, of which the recovery log was told nothing."""

    @acts
    async def reopen(self, lane: Lane, state: State, why: RecoveryEntry) -> bool:
        """A landed lane whose block is canonical no more is open again, and looked at; whether it is.

        Args:
            lane: Which.
            state: Of its saga, for the entry.
            why: For the recovery log, written with it: nobody finds out later that the lane had landed.
        """


class RecoveryLog(Protocol):
    """The append-only recovery log."""

    @acts
    async def append(self, pending: PendingRecovery) -> None:
        """Append and sync one line; an id already in the file is left as it is.

        Raises:
            StoreUnavailable: It could not be written.
        """


class Outbox(Protocol):
    """What operators are to be told, in the store: each method is one transaction, as in `Store`.

    What the store itself changes (a saga's step, a pause, a stopped account) it tells of in the same
    transaction. Only the node that no other one's `watch` lease stands against raises, clears and delivers.
    """

    @acts
    async def begin(self, alarm: Alarm) -> bool:
        """Something is wrong from now on: told on the edge, once until `end`; whether it was told."""

    @acts
    async def end(self, alarm: Alarm) -> bool:
        """It is well again: told where `begin` was; whether it was told."""

    @acts
    async def route(self, routes: Sequence[Route]) -> int:
        """Choose targets for notices that have none yet; returns for how many it was done."""

    @acts
    async def drop_targets(self, named: Collection[str]) -> int:
        """What waits for a target that is not among these is dead; returns how much that was."""

    @acts
    async def take(self, target: str, hold_ms: int, limit: int) -> Sequence[Delivery]:
        """Take what is due for a target, oldest first, each counted as an attempt.

        Nobody else takes them for `hold_ms`; then they are due again, unless `delivered` or `failed` came.
        """

    @acts
    async def delivered(self, delivery: Delivery) -> bool:
        """It arrived; False where this process holds it no more."""

    @acts
    async def failed(self, delivery: Delivery, why: str, after_ms: int, give_up: bool) -> bool:
        """It did not arrive: due again after a while, or dead; False where this process holds it no more."""

    @reads
    async def deliveries(
        self, standings: Collection[DeliveryStanding] = tuple(DeliveryStanding), limit: int = 50
    ) -> Sequence[Delivery]:
        """Deliveries of these standings, newest first."""

    @reads
    async def counts(self) -> Mapping[tuple[str, DeliveryStanding], int]:
        """How many deliveries stand how, by target."""

    @reads
    async def conditions(self) -> Sequence[tuple[NoticeKind, str, int]]:
        """What is wrong now: kind, subject, and since when in ms; oldest first."""

    @acts
    async def replay(self, actor: str, target: str = "", notice_id: int = 0) -> int:
        """Have dead deliveries sent again, of every target and notice where none is named; how many."""

    @acts
    async def prune(self, age_ms: int) -> int:
        """Forget notices that are older and wait for nothing; returns how many."""


class Messenger(Protocol):
    """The way to one target of notices."""

    @acts
    async def send(self, delivery: Delivery) -> None:
        """Bring one message there, with the delivery's id, within the target's own time limit.

        Raises:
            NotSent: It did not arrive; `NotYet` where the target said when to come again.
            OutcomeUnknown: It may have arrived: the same id is sent again.
            Refused: `forbidden_target`, `redirected`, `gone`: it is of no use to try again.
        """


class Tell(Protocol):
    """Where the supervisor reports life and readiness (systemd, metrics)."""

    @reads
    def ready(self, is_ready: bool, why: str) -> None:
        """Say whether swaps can be served, and why not."""

    @reads
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

    @reads
    async def raw_block(self, head: Head) -> RawBlock:
        """Time, parent and contract events of a block, in as few requests as the node allows."""

    @reads
    async def state_call(self, method: str, data: bytes, at: str) -> bytes:
        """A runtime call's raw reply at a block hash."""

    @reads
    async def storage(self, module: str, item: str, params: Sequence[object], at: str) -> object:
        """A decoded storage value at a block hash; None where there is none."""

    @reads
    def contract_call(
        self, contract: str, data: bytes, ref_time: int, proof_size: int, value: int = 0
    ) -> bytes:
        """SCALE bytes of `Contracts.call`; raises `ReadFailed` before `connect`."""


class CallLanes(Protocol):
    """Nonce lanes on the substrate chain: any call, any account we can sign for.

    A payout's success is a `Balances.Transfer` event of the lane's account to its recipient over its
    amount; a mark's is `System.ExtrinsicSuccess`.
    """

    @property
    def chain_id(self) -> str:
        """`tao:<genesis>`; known after the node has connected."""

    @acts
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

    @acts
    async def resign(self, lane: Lane, call: bytes, die_by: int | None, max_fee: int) -> Replacement:
        """A fresh attempt in the lane. Errors as for `Rail.prepare`."""

    @acts
    async def filler(self, lane: Lane, max_fee: int) -> Replacement:
        """A `System.remark` in the lane's nonce that outbids what may be in the pool."""

    @acts
    async def broadcast(self, lane: Lane) -> None:
        """See `Rail.broadcast`."""

    @reads
    async def locate(self, lane: Lane) -> Sighting:
        """See `Rail.locate`."""
