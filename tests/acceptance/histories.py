"""Moves and evidence for histories in which blocks are replaced, and strangers take the daemon's slots."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scalecodec.types import GenericExtrinsic

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.acceptance.ledger import Ledger
from tests.demo.evidence import Evidence
from tests.devnet import accounts
from tests.devnet.driver import Opened
from tests.devnet.faults import Fault, FaultKind
from tests.devnet.substrate import extrinsic_hash
from tests.devnet.terms import ChainName, after_fee

Record = Callable[[str, object], None]
CONFIRMED_AFTER = 8
"""Blocks after a mark in which validators find the payout deep enough, and some."""
REFUSED = "the node takes nothing for a while"
SUBMIT = "author_submitExtrinsic"
SEND = "sendrawtransaction"


@dataclass
class Play:
    """One case: the stage, its config, the swap in question, and how often history was rewritten.

    Attributes:
        stage: Both chains and the daemon's folder.
        config: The daemon's settings.
        record: Where the case's findings go.
        opened: The swap.
        forks: Branches whose payouts were counted; no branch may have two.
        most: Most payouts that any branch had.
    """

    stage: Stage
    config: Path
    record: Record
    opened: Opened | None = None
    forks: int = 1
    most: int = 0
    dest: ChainName = ChainName.TAO
    running: Daemon | None = None
    _ledger: Ledger | None = None

    @property
    def ledger(self) -> Ledger:
        """What happens on Bitcoin."""
        if self._ledger is None:
            self._ledger = Ledger(self)
        return self._ledger

    # the process

    @property
    def daemon(self) -> Daemon:
        """The running daemon."""
        assert self.running is not None, "no daemon runs"
        return self.running

    async def start(self) -> Daemon:
        """Start the daemon, in place of the one before, and wait until it is ready."""
        daemon = await self.start_unready()
        await daemon.ready()
        return daemon

    async def start_unready(self) -> Daemon:
        """Start the daemon, in place of the one before."""
        await self.kill()
        self.running = await Daemon.start(self.config)
        return self.running

    async def kill(self) -> None:
        """SIGKILL it, if it runs."""
        running, self.running = self.running, None
        if running is not None:
            await running.kill()

    async def step(self, blocks: int = 1) -> None:
        """Blocks of both chains, one after the other; a running daemon takes each in, on whatever branch."""
        for _ in range(blocks):
            said = len(self.running.log) if self.running else 0
            await self.stage.step()
            if self.running is not None:
                await self.heard(said)

    async def heard(self, since: int) -> None:
        """Wait until a round on the heads as they are has ended."""
        height = (await self.stage.devnet.chain.heads()).finalised_number

        def there(line: dict[str, Any]) -> bool:
            return line.get("event") == "round" and line.get("height") == height

        await self.daemon.until(there, since=since)

    @property
    def swap_id(self) -> int:
        """The swap's id."""
        assert self.opened is not None
        return self.opened.id

    @property
    def due(self) -> int:
        """What the user is to receive, in the destination's smallest unit."""
        assert self.opened is not None
        return after_fee(self.opened.swap.dest_amount, self.stage.devnet.contract.terms.fee_divisor)

    async def open(self, miner: int = 0) -> Opened:
        """Open the swap that this case is about."""
        source = ChainName.BTC if self.dest is ChainName.TAO else ChainName.TAO
        (self.opened,) = await self.stage.open(self.stage.plan(miner, source))
        return self.opened

    # what the store says

    def state(self) -> str:
        """The saga's state; empty while there is none."""
        return self.stage.states().get(self.swap_id, "")

    def slots(self, purpose: str = "payout") -> list[str]:
        """Slots of the swap's lanes, oldest first."""
        told = self.stage.rows(
            "SELECT slot FROM lanes JOIN sagas ON sagas.id = lanes.saga_id "
            f"WHERE purpose = '{purpose}' AND swap_id = {self.swap_id} ORDER BY lanes.id"
        )
        return [str(slot) for (slot,) in told]

    def txids(self, purpose: str = "payout") -> list[str]:
        """Ids of what was signed in the newest lane, oldest first."""
        told = self.stage.rows(
            "SELECT attempts.txid FROM attempts JOIN lanes ON lanes.id = attempts.lane_id "
            f"WHERE lanes.id = (SELECT max(lanes.id) FROM lanes JOIN sagas ON sagas.id = lanes.saga_id "
            f"WHERE purpose = '{purpose}' AND swap_id = {self.swap_id}) ORDER BY attempts.seq"
        )
        return [str(txid) for (txid,) in told]

    def reason(self) -> str:
        """Why the saga is where it is."""
        ((told,),) = self.stage.rows(f"SELECT reason FROM sagas WHERE swap_id = {self.swap_id}")
        return str(told)

    def causes(self) -> list[str]:
        """Causes in the recovery log."""
        return [str(entry["cause"]) for entry in self.stage.recovery()]

    def stopped(self) -> list[str]:
        """Why accounts are stopped."""
        return [str(why) for (why,) in self.stage.rows("SELECT stopped FROM accounts WHERE stopped <> ''")]

    # time

    async def until(self, done: Callable[[], Awaitable[bool]], blocks: int = 40) -> None:
        """Make blocks until `done`.

        Raises:
            AssertionError: It was not within so many blocks; with the daemon's last lines.
        """
        for _ in range(blocks):
            if await done():
                return
            await self.step()
        raise AssertionError(f"not reached within {blocks} blocks:\n{self.daemon.tail(60)}")

    async def until_state(self, *states: str, blocks: int = 40) -> None:
        """Make blocks until the saga is in one of these states."""

        async def there() -> bool:
            return self.state() in states

        await self.until(there, blocks)

    async def until_broadcast(self, purpose: str = "payout", since: int = 0) -> str:
        """Make blocks until such a transaction of the swap has left; its id."""
        found: list[str] = []

        async def left() -> bool:
            for line in self.daemon.log[since:]:
                if (line.get("event"), line.get("purpose"), line.get("swap_id")) == (
                    "broadcast",
                    purpose,
                    self.swap_id,
                ):
                    found.append(str(line["txid"]))
            return bool(found)

        await self.until(left)
        return found[-1]

    async def until_fulfilled(self, blocks: int = 40) -> None:
        """Make blocks until the contract shows the swap Fulfilled."""

        async def marked() -> bool:
            swap = await self.stage.devnet.contract.swap(self.swap_id)
            return swap is not None and swap.status == "Fulfilled"

        await self.until(marked, blocks)

    async def tao(self, blocks: int = 1) -> None:
        """Blocks of the contract's chain alone."""
        for _ in range(blocks):
            said = len(self.running.log) if self.running else 0
            await self.stage.devnet.chain.new_block()
            if self.running is not None:
                await self.heard(said)

    async def until_left(self, done: Callable[[], bool], what: str) -> None:
        """Make blocks of the contract's chain alone until something is so."""
        for _ in range(20):
            if done():
                return
            await self.tao()
        raise AssertionError(f"not reached: {what}\n{self.daemon.tail(40)}")

    async def until_reason(self, reason: str) -> None:
        """Make blocks of the contract's chain alone until the saga waits for this."""
        await self.until_left(lambda: self.reason() == reason, reason)

    async def until_completed(self, blocks: int = 40) -> None:
        """Make blocks until it is marked, confirmed by the validators, and ended in the store."""
        await self.until_fulfilled(blocks)
        await self.step(CONFIRMED_AFTER)

        async def confirmed() -> bool:
            await self.stage.devnet.validators.judge()
            return await self.stage.devnet.contract.swap(self.swap_id) is None

        await self.until(confirmed)
        await self.until_state("COMPLETED", blocks=12)

    # the two judges

    async def received(self) -> int:
        """What the user has received of TAO beyond what every user has at the start, rao."""
        assert self.opened is not None
        substrate = self.stage.devnet.contract.substrate
        return max(await substrate.free_balance(self.opened.swap.user_dest_address) - 10_000 * 10**9, 0)

    async def census(self) -> None:
        """Count the payouts on the branch that is canonical now (law 1 holds on each)."""
        assert self.opened is not None
        self.most = max(self.most, (await self.stage.evidence(self.opened)).payouts)

    async def judge(self, *, end: str, saga: str, payouts: int = 1) -> Evidence:
        """The end, from the chains; recorded, then asserted."""
        assert self.opened is not None
        seen = await self.stage.evidence(self.opened)
        self.most = max(self.most, seen.payouts)
        self.record("branches", self.forks)
        self.record("payouts", seen.payouts)
        self.record("end", f"{seen.status}, {self.state() or 'no saga'}")
        self.record("double_payouts", max(self.most - 1, 0))
        self.record("lost_swaps", int(not self.state()))
        self.record(
            "missed", int(seen.status == "TimedOut" != end)
        )  # where it is the case, nobody could help it
        assert self.most <= 1, f"a branch has {self.most} payouts"
        told = (seen.payouts, seen.status, self.state())
        assert told == (payouts, end, saga), f"{told}, {self.reason()}, {self.causes()}, {self.stopped()}"
        return seen

    # the contract's chain

    async def finality_lag(self, blocks: int) -> None:
        """Keep finality that far behind, from the start on."""
        await self.stage.devnet.chain.set_finality_lag(blocks)
        await self.stage.step(blocks=blocks)

    async def height_of(self, txid: str) -> int:
        """The block that holds an extrinsic on the best chain.

        Raises:
            AssertionError: None does.
        """
        chain, substrate = self.stage.devnet.chain, self.stage.devnet.contract.substrate
        for height in range((await chain.heads()).number, 0, -1):
            block_hash = await chain.block_hash(height)

            def ids(at: str | None = block_hash) -> list[str]:
                block = substrate.api.get_block(block_hash=at)
                return [
                    extrinsic_hash(each) for each in block["extrinsics"] if each.extrinsic_hash is not None
                ]

            if txid in await substrate.run(ids):
                return height
        raise AssertionError(f"{txid} is in no block")

    async def deaf(self) -> None:
        """The daemon's submissions are refused from now on; everybody else's are not."""
        await self.stage.devnet.chain.fault(Fault(SUBMIT, FaultKind.REFUSE, code=-32000, message=REFUSED))

    async def hearing(self) -> None:
        """The daemon's submissions are taken again."""
        await self.stage.devnet.chain.clear_faults(SUBMIT)

    async def fork(self, above: int, *, resubmit: bool, blocks: int = 0, force: bool = False) -> None:
        """Replace every block above a height; what was in them returns to the pool, or is lost."""
        await self.census()
        chain = self.stage.devnet.chain
        if not resubmit:
            await chain.pool(drop="all")
        await chain.fork(above, blocks=blocks, resubmit=resubmit, force=force)
        self.forks += 1

    async def rival(self, effect: str, nonce: int, *, tip: int = 0) -> GenericExtrinsic:
        """Another program's extrinsic of the miner's account: `pays`, `pays otherwise`, or neither."""
        assert self.opened is not None
        substrate, swap = self.stage.devnet.contract.substrate, self.opened.swap
        amount = {"pays": self.due, "pays-otherwise": self.due - 1}.get(effect)
        if amount is None:
            call = await substrate.call("System", "remark", remark="0x00")
        else:
            call = await substrate.call(
                "Balances", "transfer_keep_alive", dest=swap.user_dest_address, value=amount
            )
        return await substrate.sign(call, accounts.miner(self.miner), nonce=nonce, tip=tip)

    @property
    def miner(self) -> int:
        """Index of the swap's miner."""
        assert self.opened is not None
        addresses = [each.hotkey.ss58_address for each in self.stage.devnet.miners]
        return addresses.index(self.opened.swap.miner)
