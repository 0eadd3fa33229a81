"""Commands that root runs by hand beside a service that has a user of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.acceptance.harness import Stage
from tests.systemd.service import HOME, Service
from tests.systemd.test_service import serving

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

COMMAND = "/opt/swap-miner/bin/swap-miner"
AHEAD_S = 3600
"""The devnet's chain runs ahead of the wall clock; the Bitcoin node's clock is put ahead of it."""


async def by_hand(stage: Stage, service: Service, *words: str) -> str:
    """A command of root's, while the chain goes on."""
    run = service.machine.run("env", f"CREDENTIALS_DIRECTORY={HOME}", COMMAND, *words)
    work = asyncio.create_task(run)
    while not work.done():
        await asyncio.wait({work}, timeout=1.5)
        await stage.step()
    return await work


@pytest.mark.parametrize(
    "lost",
    [
        pytest.param("/var/lib/private/swap-miner/*", id="what-is-in-the-state-folder"),
        pytest.param("/var/lib/private/swap-miner", id="the-state-folder-itself", marks=pytest.mark.proof),
    ],
)
async def test_what_root_rebuilds_the_service_works_with(stage: Stage, program: Path, lost: str) -> None:
    bitcoin = stage.devnet.bitcoin
    at = (await stage.devnet.contract.substrate.query("Timestamp", "Now")) // 1000
    await bitcoin.rpc("setmocktime", at + AHEAD_S)
    try:
        async with serving(stage, program) as service:
            await service.start()
            (opened,) = await stage.open(stage.plan(0))
            await service.daemon.event("broadcast", swap_id=opened.id, purpose="payout")
            await service.stop()
            await stage.step(blocks=2)
            await service.machine.run("sh", "-c", f"rm -rf {lost}")
            assert str(opened.id) in await by_hand(stage, service, "rebuild", "--from-chain", "--yes")
            await service.start()
            await stage.completed(service.daemon, [opened])
            assert (await stage.evidence(opened)).payouts == 1
            owners = await service.machine.run(
                "sh", "-c", "stat -c %u /var/lib/swap-miner/ /var/lib/swap-miner/*"
            )
            assert len(set(owners.split())) == 1, owners
            assert int(owners.split()[0]) >= 61184, "not the service's user"
    finally:
        await bitcoin.rpc("setmocktime", 0)
