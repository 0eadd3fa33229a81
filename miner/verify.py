"""Verify: are the swap's terms right, and did the user pay?

Nothing the contract's strings say is believed: the rate, the amounts and the fee are computed again with
integers, addresses are compared as accounts, and the payment is looked up on its own chain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from miner.amounts import Chain, Rate, user_receives
from miner.errors import ReadFailed, Refused
from miner.model import Payment, PaymentClaim, PayoutOrder, Pending, Policy, Saga, Swap, SwapStatus, Terms
from miner.ports import Rail

BLOCK_MS = 12_000
"""Block time of the contract's chain, for the rule where a reservation's event is out of reach."""
RESERVATION_REACH = 4
"""Reservation lifetimes before initiation within which a payment counts as fresh, by the same rule."""


@dataclass(frozen=True, slots=True)
class MinerAccounts:
    """One of our miners.

    Attributes:
        name: The operator's name for it.
        hotkey: SS58 (prefix 42); the contract's `miner`.
        accounts: Address that pays and is paid, by chain.
    """

    name: str
    hotkey: str
    accounts: Mapping[Chain, str]


class Verifier:
    """Checks swaps of our miners against the policy and the source chains."""

    def __init__(
        self, rails: Mapping[Chain, Rail], miners: Mapping[str, MinerAccounts], policy: Policy
    ) -> None:
        self._rails = rails
        self._miners = miners
        self._policy = policy

    def adopt(self, policy: Policy) -> None:
        """Judge by these rules from now on."""
        self._policy = policy

    def miner(self, hotkey: str) -> MinerAccounts | None:
        """Our miner with that hotkey."""
        return self._miners.get(hotkey)

    def order(self, swap: Swap, terms: Terms) -> PayoutOrder:
        """What has to be paid for a swap, after every check that needs no chain.

        Raises:
            Refused: `not_active`, or as `owed`.
        """
        if swap.status is not SwapStatus.ACTIVE:
            raise Refused("swap", "not_active", swap.status)
        return self.owed(swap, terms)

    def owed(self, swap: Swap, terms: Terms) -> PayoutOrder:
        """What a swap owes its user, whether or not it has been paid.

        Raises:
            Refused: `unsupported_pair`, `not_our_miner`, `miner_address_mismatch`, `bad_rate`,
                `zero_amount`, `amount_too_large`, `amount_mismatch`, `bad_address`,
                `recipient_of_another_network`, `recipient_is_sender`.
        """
        source, dest = self.pair(swap)
        swap = _as_assigned(swap, source, dest)
        miner = self._miners.get(swap.miner)
        if miner is None:
            raise Refused("swap", "not_our_miner", swap.miner)
        self._check_miner(swap, miner, source, dest)
        self._check_amounts(swap, source, dest)
        rail = self._rails[dest]
        rail.check_recipient(swap.user_dest_address)
        for ours in self._miners.values():
            if dest in ours.accounts and rail.same_address(swap.user_dest_address, ours.accounts[dest]):
                raise Refused("recipient", "recipient_is_sender", swap.user_dest_address)
        amount = user_receives(swap.dest_amount, terms.fee_divisor)
        if amount <= 0:
            raise Refused("payout", "zero_amount", str(amount))
        limits = self._policy.rails[dest]
        return PayoutOrder(
            miner.accounts[dest], swap.user_dest_address, amount, limits.max_fee, swap.timeout_block
        )

    def pair(self, swap: Swap) -> tuple[Chain, Chain]:
        """The swap's chains.

        Raises:
            Refused: `unsupported_pair`; `chain_not_configured`.
        """
        try:
            source, dest = Chain(swap.source_chain), Chain(swap.dest_chain)
        except ValueError:
            raise Refused(
                "swap", "unsupported_pair", f"{swap.source_chain!r} to {swap.dest_chain!r}"
            ) from None
        if source is dest:
            raise Refused("swap", "unsupported_pair", f"{source} to {dest}")
        if missing := {source, dest} - self._rails.keys():
            raise Refused("swap", "chain_not_configured", ", ".join(sorted(missing)))
        return source, dest

    def _check_miner(self, swap: Swap, miner: MinerAccounts, source: Chain, dest: Chain) -> None:
        """The contract names the accounts that this miner is configured with: a pinned sender."""
        for chain, told in ((source, swap.miner_source_address), (dest, swap.miner_dest_address)):
            ours = miner.accounts.get(chain)
            if ours is None or not self._rails[chain].same_address(told, ours):
                raise Refused("swap", "miner_address_mismatch", f"{chain}: {told!r} is not {ours}")

    def _check_amounts(self, swap: Swap, source: Chain, dest: Chain) -> None:
        amounts = ((swap.source_amount, source), (swap.dest_amount, dest), (swap.tao_amount, Chain.TAO))
        for amount, chain in amounts:
            if amount <= 0:
                raise Refused("swap", "zero_amount", f"{amount} {chain.unit}")
            if amount > chain.supply:
                raise Refused("swap", "amount_too_large", f"{amount} {chain.unit}")
        expected = Rate.parse(swap.rate).convert(swap.source_amount, source, dest)
        if swap.dest_amount != expected:
            raise Refused(
                "swap", "amount_mismatch", f"dest_amount {swap.dest_amount}, the rate gives {expected}"
            )
        tao_leg = swap.dest_amount if dest is Chain.TAO else swap.source_amount
        if swap.tao_amount != tao_leg:
            raise Refused(
                "swap", "amount_mismatch", f"tao_amount {swap.tao_amount}, the TAO leg is {tao_leg}"
            )

    async def payment(self, saga: Saga, terms: Terms, now_ms: int, height: int) -> Payment | Pending:
        """Look for the user's payment.

        Args:
            saga: The saga.
            terms: The contract's settings.
            now_ms: Database time.
            height: Finalised height of the contract's chain.

        Raises:
            Refused: On final evidence against it; see `Rail.verify`.
            ReadFailed: Nothing was learned.
        """
        source, _ = self.pair(saga.swap)
        rail = self._rails[source]
        payment = await rail.verify(self._claim(saga, terms, source, now_ms, height))
        if isinstance(payment, Payment) and payment.txid != rail.canonical_txid(saga.swap.source_tx_hash):
            raise ReadFailed("the user's payment", f"asked for another transaction than {payment.txid}")
        return payment

    def _claim(self, saga: Saga, terms: Terms, source: Chain, now_ms: int, height: int) -> PaymentClaim:
        """The claim with its freshness rule.

        A payment must not be older than the reservation it was made under: the `MinerReserved` event's
        block (TAO), or that block's time less two hours, since Bitcoin's clock may be off (BTC). Where that
        event is out of reach, reservation begins four reservation lifetimes before initiation.
        """
        swap = saga.swap
        reach = RESERVATION_REACH * terms.reservation_ttl_blocks
        block, at_ms = saga.reserved_block, saga.reserved_at_ms
        if block is None or at_ms is None:
            block = max(0, swap.initiated_block - reach)
            at_ms = now_ms - (max(0, height - swap.initiated_block) + reach) * BLOCK_MS
        return PaymentClaim(
            txid=swap.source_tx_hash,
            height=swap.source_tx_block,
            sender=swap.user_source_address,
            recipient=swap.miner_source_address,
            amount=swap.source_amount,
            confirmations=self._policy.rails[source].confirmations_for(swap.source_amount),
            not_before_height=block,
            not_before_ms=max(0, at_ms - self._policy.source_slack_s * 1000),
        )

    async def still_good(self, payment: Payment) -> bool:
        """Whether a verified payment is still canonical."""
        return await self._rails[payment.chain].still_good(payment)


def _as_assigned(swap: Swap, source: Chain, dest: Chain) -> Swap:
    """The swap with the amount that it was assigned with: a mark puts what was paid, net, in its place."""
    if swap.status is SwapStatus.ACTIVE:
        return swap
    return replace(swap, dest_amount=Rate.parse(swap.rate).convert(swap.source_amount, source, dest))
