"""The daemon between two faulty nodes: a trouble begins, lasts, ends; then the chains are asked."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.acceptance.daemon import Daemon
from tests.acceptance.failing.cast import ROLES, WITHDRAWING, Cast, Role, assemble, finish, followed
from tests.acceptance.failing.troubles import TROUBLES, Node, Side
from tests.acceptance.harness import Stage
from tests.devnet.fault_proxy import FaultProxy

REQUEST_TIMEOUT_S = 5
STALL_TIMEOUT_S = 12
BROKE = frozenset({"swap_broke", "round_broke", "lane_look_broke"})
"""Log events of an error that no layer expected."""
MOST_A_SECOND = 60
"""Requests to a failing node; more would be a tight loop. A healthy second of this devnet makes about 40."""
MOST_AT_ONCE = 300
"""Requests beside that for catching up: another fork is 120 blocks further, each with a hash and a state."""
BACK_S = 240.0
FOLLOW_S = 10.0
"""Between one block and the next of a chain that the daemon does not follow yet."""
TOLD_S = 90.0
"""Within which a blind daemon must have said so, on a machine that is busy with other things."""


@dataclass(frozen=True)
class Ordeal:
    """What happened while a node was in trouble.

    Attributes:
        seconds: how long it lasted.
        requests: that the failing nodes got, connections included.
        unready: whether the daemon said that it is not ready.
        worked: whether it worked on a new head.
    """

    seconds: float
    requests: int
    unready: bool
    worked: bool


@dataclass
class Ground:
    """Stage, nodes and daemon of one case."""

    stage: Stage
    nodes: dict[Side, Node]

    @classmethod
    async def make(cls, stage: Stage) -> Ground:
        """A proxy before the chain; the one before the Bitcoin node is there already."""
        proxy = FaultProxy(stage.devnet.chain.url)
        await proxy.start()
        nodes = {
            Side.SUBSTRATE: Node(Side.SUBSTRATE, proxy, stage.devnet),
            Side.BITCOIN: Node(Side.BITCOIN, stage.devnet.bitcoin.proxy, stage.devnet),
        }
        return cls(stage, nodes)

    async def close(self) -> None:
        """End troubles and the proxy."""
        for node in self.nodes.values():
            await node.mend()
        await self.nodes[Side.SUBSTRATE].proxy.stop()

    def config(self, *more_endpoints: str) -> Path:
        """The daemon's settings: through the proxies, and with short limits."""
        file = self.stage.config()
        text = file.read_text()
        urls = (self.nodes[Side.SUBSTRATE].proxy.url, *more_endpoints)
        listed = ", ".join(f'"{url}"' for url in urls)
        limits = f"request_timeout_s = {REQUEST_TIMEOUT_S}\nstall_timeout_s = {STALL_TIMEOUT_S}\n"
        text = re.sub(r"endpoints = \[.*\]", f"endpoints = [{listed}]\n{limits}", text, count=1)
        text = text.replace("[bitcoin]\n", f"[bitcoin]\nrequest_timeout_s = {REQUEST_TIMEOUT_S}\n")
        file.write_text(text)
        return file

    async def trouble(
        self, daemon: Daemon, phase: Mapping[Side, Sequence[str]], cast: Cast, blocks: int = 4
    ) -> Ordeal:
        """Let these troubles happen to these nodes while the chains make blocks; they are over at the end."""
        clock, since = asyncio.get_running_loop().time, len(daemon.log)
        heads = await self.stage.devnet.chain.heads()
        hit = [self.nodes[side] for side in phase]
        for node in hit:
            node.proxy.requests(reset=True)
            for name in phase[node.side]:
                await TROUBLES[name](node)
        began = clock()
        await cast.enrich()
        made = 0
        while made < blocks or (clock() - began < TOLD_S and not _told(daemon, since, heads.number)):
            await self.stage.devnet.bitcoin.mine()
            await self.stage.devnet.chain.new_block()
            await asyncio.sleep(1.5)
            made += 1
        asked = sum(sum(node.proxy.requests().values()) + node.proxy.opened for node in hit)
        seconds = round(clock() - began, 1)
        ordeal = Ordeal(seconds, asked, _unready(daemon, since), _worked(daemon, since, heads.number))
        for node in hit:
            await node.mend()
        return ordeal

    async def ready(self, daemon: Daemon) -> None:
        """Blocks until the daemon says that it is ready: a chain that stands still is a stalled one."""
        until = asyncio.get_running_loop().time() + BACK_S
        while not any(line.get("event") == "ready" for line in daemon.log):
            assert asyncio.get_running_loop().time() < until, f"not ready:\n{daemon.tail()}"
            await self.stage.devnet.chain.new_block()
            await asyncio.sleep(2)

    async def recover(self, daemon: Daemon, cast: Cast) -> int:
        """Until every swap has ended; a person lets first sends go on where finality was violated.

        Returns:
            Blocks that this took.
        """
        if any(line.get("event") == "finality_violated" for line in daemon.log):
            await self.stage.cli("resume")
        return await finish(cast, daemon)

    async def back(self, daemon: Daemon) -> None:
        """Until the daemon has worked on a block that came after the trouble.

        A chain does not wait: one block alone may be below what another fork has told the daemon.
        """
        until = asyncio.get_running_loop().time() + BACK_S
        while True:
            await self.stage.devnet.chain.new_block()
            try:
                return await followed(self.stage, daemon, timeout_s=FOLLOW_S)
            except AssertionError:
                if asyncio.get_running_loop().time() > until:
                    raise


def _unready(daemon: Daemon, since: int) -> bool:
    return any(line.get("event") == "not_ready" for line in daemon.log[since:])


def _worked(daemon: Daemon, since: int, height: int) -> bool:
    """Whether a round worked on a head that came under the trouble."""
    return any(line.get("event") == "round" and line["best"] > height for line in daemon.log[since:])


def _told(daemon: Daemon, since: int, height: int) -> bool:
    return _unready(daemon, since) or _worked(daemon, since, height)


async def judged(cast: Cast, daemon: Daemon, record: Any) -> None:
    """What the chains and the log say; recorded for the table, and held against the laws."""
    payouts = {role: await cast.stage.evidence(each) for role, each in cast.opened.items()}
    double = [role.name for role, seen in payouts.items() if seen.payouts > 1]
    payable = {role: seen for role, seen in payouts.items() if role.name != WITHDRAWING}
    missed = [role.name for role, seen in payable.items() if seen.status != "Completed"]
    broke = [line for line in daemon.log if line.get("event") in BROKE]
    record("swaps", len(payouts))
    record("states", cast.told())
    record("payouts", sum(seen.payouts for seen in payouts.values()))
    record("double_payouts", len(double))
    record("lost_swaps", len(cast.unfinished()))
    record("missed", len(missed))
    assert not double, f"paid twice: {double}"
    assert not missed, f"not completed: {missed}"
    assert all(seen.payouts == 1 for seen in payable.values()), {r.name: s for r, s in payable.items()}
    assert daemon.process.returncode is None, f"it crashed:\n{daemon.tail()}"
    assert not broke, f"errors that nobody expected: {broke[:3]}"


def hold_against(ordeal: Ordeal) -> None:
    """Bounded requests, and the truth about readiness."""
    assert ordeal.requests <= MOST_A_SECOND * (ordeal.seconds + 1) + MOST_AT_ONCE, f"a tight loop: {ordeal}"
    assert ordeal.worked or ordeal.unready, "it was blind, and did not say so"


async def endured(
    ground: Ground,
    daemon: Daemon,
    phases: Sequence[Mapping[Side, Sequence[str]]],
    record: Any,
    roles: tuple[Role, ...] = ROLES,
) -> Cast:
    """The whole of a case: all states, the troubles one after the other, their end, and the judgement."""
    cast = await assemble(ground.stage, daemon, roles)
    ordeals = []
    for phase in phases:
        ordeals.append(await ground.trouble(daemon, phase, cast))
        await ground.back(daemon)
    record("blocks_to_the_end", await ground.recover(daemon, cast))
    await judged(cast, daemon, record)
    record("seconds", sum(each.seconds for each in ordeals))
    record("requests", sum(each.requests for each in ordeals))
    record("told_not_ready", any(each.unready for each in ordeals))
    for each in ordeals:
        hold_against(each)
    return cast
