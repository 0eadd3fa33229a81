"""A payout chain."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from miner.amounts import Chain
from miner.boundary import acts, reads
from miner.model import (
    AccountRow,
    Claim,
    Head,
    Lane,
    Payment,
    PaymentClaim,
    PayoutOrder,
    Pending,
    Replacement,
    Sighting,
    Since,
)


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
