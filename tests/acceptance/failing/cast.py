"""Swaps in every state at once, so that one fault meets them all.

Finality is two blocks behind. A swap of age k (blocks since it began) is then: 2 signed and broadcast,
3 and 4 paid (TAO; with a confirmation a BTC payout is marked at once), 5 marked in the pool, 6 and 7 marked
in a block, 8 fulfilled for good.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.acceptance.daemon import START_S, Daemon
from tests.acceptance.harness import Stage
from tests.devnet import accounts
from tests.devnet.bitcoin import BANK, sats
from tests.devnet.driver import Opened, Payment, Plan
from tests.devnet.terms import ChainName, Request

LAG = 2
FINAL = 7
"""Bitcoin blocks after which a spend is one of the past, for which the daemon need not account."""
SHORT_TIMEOUT = 14
"""Blocks after which the swap that is to be withdrawn times out; others have 150."""
WITHDRAWING, HELD, DISCOVERED, VERIFIED, RESERVED = (
    "WITHDRAWING",
    "HELD",
    "DISCOVERED",
    "VERIFIED",
    "RESERVED",
)
TO_TAO, TO_BTC = ChainName.BTC, ChainName.TAO
"""By the chain on which the user pays."""


@dataclass(frozen=True)
class Role:
    """A part in the cast.

    Attributes:
        name: state it is to be in when the fault comes; `NEW` is assigned under the fault.
        source: chain of the user's payment.
        age: blocks since it began, when the fault comes.
    """

    name: str
    source: ChainName
    age: int


ROLES = (
    Role(WITHDRAWING, TO_BTC, 18),
    Role(HELD, TO_TAO, 10),
    Role("MARKED", TO_TAO, 9),
    Role("MARKED", TO_BTC, 9),
    Role("MARKING", TO_TAO, 6),
    Role("MARKING", TO_BTC, 5),
    Role("PAID", TO_TAO, 4),
    Role(VERIFIED, TO_BTC, 4),
    Role(RESERVED, TO_BTC, 4),
    Role("SIGNED", TO_TAO, 2),
    Role("SIGNED", TO_BTC, 2),
    Role(DISCOVERED, TO_TAO, 2),
    Role("NEW", TO_TAO, 1),
    Role("NEW", TO_TAO, 0),
    Role("NEW", TO_BTC, 0),
)
FEW = tuple(role for role in ROLES if role.name in ("MARKING", "PAID", "SIGNED", "NEW"))
"""For `make test`: the states in which money can be lost."""


@dataclass
class Cast:
    """The swaps, by role, and what the daemon's store said of them when the fault came.

    Attributes:
        opened: swap by role.
        seen: state by role.
    """

    stage: Stage
    opened: dict[Role, Opened] = field(default_factory=dict)
    seen: dict[Role, str] = field(default_factory=dict)
    poor: bool = False

    def note(self) -> None:
        """Remember every saga's state now."""
        states = self.stage.states()
        self.seen = {role: states.get(each.id, "NEW") for role, each in self.opened.items()}

    def told(self) -> str:
        """The states for the table: how many sagas were in each."""
        names = list(self.seen.values())
        return ", ".join(f"{name} {names.count(name)}" for name in dict.fromkeys(names))

    def of(self, *names: str) -> list[Opened]:
        """The swaps of these roles."""
        return [each for role, each in self.opened.items() if role.name in names]

    def unfinished(self) -> dict[str, str]:
        """States of those that are not where they are to end, by role."""
        states = self.stage.states()
        return {
            f"{role.name} {role.source}": states.get(each.id, "unknown")
            for role, each in self.opened.items()
            if states.get(each.id) not in ends_of(role)
        }

    async def enrich(self) -> None:
        """Give back what was taken from the miners that were to wait for money; two blocks."""
        if not self.poor:
            return
        self.poor = False
        devnet = self.stage.devnet
        for each in self.of(RESERVED):
            await devnet.bitcoin.fund(each.plan.miner.btc_address, 10**8)
        for each in self.of(VERIFIED):
            call = await devnet.contract.substrate.call(
                "Balances", "transfer_keep_alive", dest=each.swap.miner, value=10**11
            )
            await devnet.contract.substrate.dispatch_as([(str(accounts.owner().ss58_address), call)])


def ends_of(role: Role) -> frozenset[str]:
    """The states in which its saga may end. Whether payout or cancellation is mined is for the miners."""
    return frozenset({"COMPENSATED", "FAILED"} if role.name == WITHDRAWING else {"COMPLETED"})


async def followed(stage: Stage, daemon: Daemon, timeout_s: float = START_S) -> None:
    """Wait until the daemon has worked on the newest heads."""
    heads = await stage.devnet.chain.heads()
    await daemon.until(
        lambda line: (
            line.get("event") == "round"
            and line.get("height", -1) >= heads.finalised_number
            and line.get("best", -1) >= heads.number
        ),
        timeout_s=timeout_s,
    )


async def impoverish(stage: Stage, roles: tuple[Role, ...] = ROLES) -> None:
    """Before the daemon starts: a miner that has no BTC, so that its swap waits for them."""
    devnet = stage.devnet
    for index, role in enumerate(roles):
        if role.name == RESERVED:
            miner = devnet.miners[index]
            held = await devnet.bitcoin.rpc(
                "listunspent", 1, 9_999_999, [miner.btc_address], wallet=miner.btc_wallet
            )
            total = sum(sats(coin["amount"]) for coin in held)
            bank = await devnet.bitcoin.new_address(BANK)
            await devnet.bitcoin.pay_from(miner.btc_wallet, miner.btc_address, {bank: total - 5000})
            await devnet.bitcoin.mine(FINAL)


async def _drain(stage: Stage, address: str) -> None:
    """Leave a hotkey too little for a mark, by what takes no nonce of it."""
    substrate, owner = stage.devnet.contract.substrate, str(accounts.owner().ss58_address)
    left = await substrate.free_balance(address) - 2_000_000
    call = await substrate.call("Balances", "transfer_keep_alive", dest=owner, value=left)
    await substrate.dispatch_as([(address, call)])


async def assemble(stage: Stage, daemon: Daemon, roles: tuple[Role, ...] = ROLES) -> Cast:
    """Open the swaps one block after the other, so that the youngest begins in the newest block.

    The daemon has worked on every block when this returns.
    """
    await stage.devnet.chain.set_finality_lag(LAG)
    plans = {role: stage.plan(index, role.source) for index, role in enumerate(roles)}
    requests = dict(zip(plans, await stage.devnet.driver.reserve(list(plans.values())), strict=True))
    early = {role: plan for role, plan in plans.items() if role.name != DISCOVERED}
    payments = dict(zip(early, await stage.devnet.driver.pay(list(early.values())), strict=True))
    for role, plan in plans.items():
        if role.name == VERIFIED:
            await _drain(stage, str(plan.miner.hotkey.ss58_address))
    cast = Cast(stage, poor=any(role.name in (VERIFIED, RESERVED) for role in roles))
    for age in range(max(role.age for role in roles), -1, -1):
        if age >= 2:
            await _mine(cast)
        await _begin(cast, age, plans, requests, payments)
        await followed(stage, daemon)
    cast.note()
    return cast


async def _mine(cast: Cast) -> None:
    """A Bitcoin block of all that waits, but for the payout that is to be withdrawn."""
    node = cast.stage.devnet.bitcoin
    waiting = await node.rpc("getrawmempool")
    users = {each.swap.user_dest_address for each in cast.of(WITHDRAWING)}
    if not users:
        await node.mine()
        return
    wanted = []
    for txid in waiting:
        tx = await node.rpc("getrawtransaction", txid, True)
        if not users & {out["scriptPubKey"].get("address") for out in tx["vout"]}:
            wanted.append(txid)
    await node.rpc("generateblock", await node.new_address(BANK), wanted)


async def _begin(
    cast: Cast,
    age: int,
    plans: dict[Role, Plan],
    requests: dict[Role, Request],
    payments: dict[Role, Payment],
) -> None:
    """One block at least: the swaps of this age begin in it, or it is an empty one."""
    devnet, roles = cast.stage.devnet, [role for role in plans if role.age == age]
    for role in roles:
        if role.name == DISCOVERED:  # one confirmation of two: it is discovered and waits
            (payments[role],) = await devnet.driver.pay([plans[role]], confirmations=1)
    withdrawn = [role for role in roles if role.name == WITHDRAWING]
    if withdrawn:
        await devnet.contract.set_timeout(SHORT_TIMEOUT)
    if roles:
        chosen = [[each[role] for role in roles] for each in (plans, requests, payments)]
        opened = await devnet.driver.initiate(*chosen)  # type: ignore[arg-type]
        cast.opened |= dict(zip(roles, opened, strict=True))
    elif any(role.name == HELD and role.age == age + 3 for role in cast.opened):
        await _mark_by_another(cast)
    elif age == 3 and cast.of(WITHDRAWING):
        await devnet.validators.timeout(*(each.id for each in cast.of(WITHDRAWING)))
    else:
        await devnet.chain.new_block()
    if withdrawn:
        await devnet.contract.set_timeout(150)


async def _mark_by_another(cast: Cast) -> None:
    """Somebody with the hotkey marks it with an id that is not the payout's: held, and followed."""
    (held,) = cast.of(HELD)
    foreign = {"swap_id": held.id, "dest_tx_hash": "0x" + "ab" * 32, "dest_tx_block": 1, "dest_amount": 1}
    await cast.stage.devnet.contract.execute([(held.swap.miner, "mark_fulfilled", foreign)])


async def finish(cast: Cast, daemon: Daemon, blocks: int = 40) -> int:
    """Make blocks, with validators judging, until every swap has ended and the daemon knows.

    Returns:
        How many blocks that took.
    """
    stage = cast.stage
    for made in range(blocks):
        if not cast.unfinished():
            return made
        await stage.devnet.validators.judge()
        for each in cast.of(HELD):
            swap = await stage.devnet.contract.swap(each.id)
            if swap is not None and swap.status == "Fulfilled":
                await stage.devnet.validators.confirm(each.id)
        await stage.devnet.bitcoin.mine()
        await stage.devnet.chain.new_block()
        await followed(stage, daemon)
    raise AssertionError(f"not ended within {blocks} blocks: {cast.unfinished()}\n{daemon.tail(80)}")
