"""Secrets encrypted to the machine under a real systemd: a wallet as `btcli` writes it, a node login."""

from __future__ import annotations

import re
from pathlib import Path

import bittensor_core
import pytest

from tests.acceptance.harness import Stage
from tests.systemd.machine import Machine, reachable
from tests.systemd.service import UNIT, Service, installed, on_this_machine

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(400)]

PROGRAM = "/opt/swap-miner/bin/swap-miner"
NAMES = ["bitcoin-rpc", "hotkey", "wallet-password"]


def plant_wallet(service: Service, folder: Path) -> None:
    """An encrypted keyfile in place of a development key. Opening it takes half a gigabyte for a moment."""
    text = service.settings.read_text()
    found = re.search(r'hotkey = \{ uri = "([^"]+)" \}', text)
    assert found is not None
    pair = bittensor_core.Keypair.create_from_uri(found[1])
    plain = bytes(bittensor_core.serialized_keypair_to_keyfile_data(pair))
    password = "canary-wallet-password"
    (folder / "hotkey").write_bytes(bytes(bittensor_core.encrypt_keyfile_data(plain, password)))
    (folder / "wallet-password").write_text(password)
    named = 'hotkey = { keyfile = "credential:hotkey", password_file = "credential:wallet-password" }'
    service.change(found[0], named)


async def test_secrets_are_encrypted_to_the_machine_and_the_service_pays_with_them(
    stage: Stage, program: Path
) -> None:
    """Offered, done, and the plain file removed: only what systemd decrypts is left of the node's login."""
    machine = Machine(stage.folder, program)
    async with machine, installed(stage, machine, miners=[0]) as service:
        host_key = stage.folder / "systemd"  # one on a file system in memory is not taken for a machine's
        host_key.mkdir()
        await machine.run("mkdir", "-p", "/var/lib/systemd")
        await machine.run("mount", "--bind", str(host_key), "/var/lib/systemd")
        folder = stage.folder / "etc" / "credentials"
        folder.mkdir(mode=0o700)
        (stage.folder / "etc" / "bitcoin-rpc").rename(folder / "bitcoin-rpc")
        plant_wallet(service, folder)
        secrets = {name: (folder / name).read_bytes() for name in NAMES}

        offered = await machine.run(PROGRAM, "service", "install")
        assert "swap-miner service install --encrypt" in offered
        dry = await machine.run(PROGRAM, "service", "install", "--encrypt")
        assert "systemd-creds encrypt" in " ".join(dry.split()), dry
        assert sorted(path.name for path in folder.iterdir()) == NAMES
        did = await machine.run(PROGRAM, "service", "install", "--encrypt", "--yes")
        for name, secret in secrets.items():
            assert f"shred -u /etc/swap-miner/credentials/{name}" in did
            (folder / name).unlink()
            assert secret not in (folder / f"{name}.cred").read_bytes()

        lines = on_this_machine(stage.folder).splitlines()[:2]
        place = stage.folder / "units" / f"{UNIT}.d"
        place.mkdir(exist_ok=True)
        (place / "machine.conf").write_text("\n".join(["[Service]", reachable(), *lines, ""]))
        await machine.ctl("daemon-reload")
        await service.start()
        opened = await stage.open(stage.plan(0))
        await stage.completed(service.daemon, opened)
        assert (await stage.evidence(opened[0])).payouts == 1
        said = offered + dry + did + service.daemon.tail(10_000)
        assert not any(secret.decode(errors="replace") in said for secret in secrets.values())
        assert int(await service.show("NRestarts")) == 0
