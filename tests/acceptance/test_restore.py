"""A backup that is older than the chain, put back by the commands: nobody is paid twice."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pyrage
import pytest

from tests.acceptance.daemon import Daemon
from tests.acceptance.harness import Stage
from tests.devnet.terms import ChainName

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(600)]

TAO, BTC = ChainName.BTC, ChainName.TAO
"""The chain that the user pays on, by the one that is paid out."""
PROOF = pytest.mark.proof
Record = Callable[[str, object], None]


@pytest.mark.matrix("Old or second state", "Chopsticks, bitcoind, SQLite, age")
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(TAO, id="restored-backup-TAO"),
        pytest.param(BTC, id="restored-backup-BTC", marks=PROOF),
    ],
)
async def test_a_restored_backup_pays_nobody_twice(
    stage: Stage, source: ChainName, record_property: Record
) -> None:
    """Taken while the swap is verified and not paid; then it is paid, the folder lost, and restored."""
    config, sealed, key = stage.config(), stage.folder / "backup.age", stage.folder / "key.txt"
    identity = pyrage.x25519.Identity.generate()
    key.write_text(f"{identity}\n", encoding="utf-8")
    key.chmod(0o600)
    async with await Daemon.start(config) as daemon:
        await daemon.ready()
        await stage.cli("pause")
        (opened,) = await stage.open(stage.plan(0, source))
        await stage.step(daemon)
        recipient = str(identity.to_public())
        said = await stage.cli("backup", str(sealed), "--recipient", recipient, "--identity", str(key))
        assert "verified: reopened, encrypted and decrypted" in said
        await stage.cli("resume")
        await stage.step(daemon)
        await daemon.event("broadcast", swap_id=opened.id, purpose="payout")
        await stage.step(daemon, blocks=2)
        await daemon.kill()
    shutil.rmtree(stage.folder / "state")
    refused = await stage.cli("restore", str(sealed), "--identity", str(key), code=1)
    assert "is older than the chains; nothing was written" in refused
    account = opened.plan.miner.tao_address if source is TAO else opened.plan.miner.btc_address
    assert f"missing: {account}" in refused
    assert not (stage.folder / "state" / "swap-miner.sqlite").exists()
    assert "restored the backup" in await stage.cli(
        "restore", str(sealed), "--identity", str(key), "--reconcile"
    )
    await stage.cli("resume")
    async with await Daemon.start(config) as daemon:
        await stage.completed(daemon, [opened])
        await stage.step(daemon, blocks=3)
        seen = await stage.evidence(opened)
        assert seen.payouts == 1
        assert stage.states()[opened.id] == "COMPLETED"
    record_property("end", "COMPLETED")
    record_property("payouts", seen.payouts)
    record_property("double_payouts", int(seen.payouts > 1))
    record_property("lost_swaps", 0)
    record_property("missed", 0)
