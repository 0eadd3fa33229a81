"""Backups: whole while others write, sealed, never overwritten; and restored only where the chains agree."""

from __future__ import annotations

import asyncio
import io
import tarfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest

from miner.amounts import Chain
from miner.app import backups, restoring, sealed
from miner.cli.exits import Exit
from miner.config import Settings, load
from miner.errors import ConfigError, StoreDamaged
from miner.store import SqlStore, backup
from miner.verify import MinerAccounts
from tests.conformance.store_builders import CONTRACT, GENESIS, discover, signed
from tests.simulation.world import World
from tests.unit import test_cli
from tests.unit.config_files import replaced, write_settings

world, run = test_cli.world, test_cli.run


@dataclass
class Place:
    """A settings folder with a store, and a key pair."""

    settings: Settings
    config: Path
    identity: Path
    recipient: str
    to: Path

    def backup(self, name: str = "one.age", *, verify: bool = True, keep: int = 0) -> Any:
        identity = self.identity if verify else None
        return backups.make(self.settings, self.config, self.to / name, [self.recipient], identity, keep)

    def unpacked(self, name: str, folder: Path) -> Path:
        folder.mkdir()
        sealed.open_sealed(self.to / name, folder / "t", sealed.identities_of(self.identity))
        sealed.unpack(folder / "t", folder)
        return folder


def key_pair(folder: Path, name: str = "key.txt") -> tuple[Path, str]:
    """An identity file as age-keygen writes it, and its public key."""
    made = pyrage.x25519.Identity.generate()
    path = folder / name
    path.write_text(f"# created: now\n# public key: {made.to_public()}\n{made}\n", encoding="utf-8")
    path.chmod(0o600)
    return path, str(made.to_public())


@pytest.fixture
def place(tmp_path: Path) -> Place:
    config = write_settings(tmp_path)
    (tmp_path / "backups").mkdir()
    return Place(load(config), config, *key_pair(tmp_path), tmp_path / "backups")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


async def store_at(place: Place) -> SqlStore:
    store = SqlStore(place.settings.store.file, owner="one")
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    return store


# making


async def test_a_copy_under_a_load_of_writes_is_whole_each_time(place: Place, tmp_path: Path) -> None:
    store = await store_at(place)
    over = asyncio.Event()

    async def write() -> None:
        number = 0
        while not over.is_set():
            number += 1
            await (signed(store, number) if number % 2 else discover(store, number))

    writing = asyncio.create_task(write(), name="writes")
    seen: list[int] = []
    try:
        for number in range(4):
            seen.append((await place.backup(f"{number}.age"))["store"]["attempts"])
    finally:
        over.set()
        await writing
        await store.close()
    assert seen == sorted(seen)
    assert seen[-1] > 0
    for number in range(4):
        folder = place.unpacked(f"{number}.age", tmp_path / f"u{number}")
        copy = SqlStore(folder / sealed.STORE)
        await copy.open()
        audits = await copy.audit(limit=10_000, ended=True)
        assert all(not each.differences and not each.broken for each in audits), "rows and journals agree"
        await copy.close()


async def test_it_is_for_its_owner_alone_and_leaves_nothing_in_the_clear(place: Place) -> None:
    await (await store_at(place)).close()
    found = await place.backup()
    assert mode_of(place.to / "one.age") == 0o600
    assert found["verified"] == "reopened, encrypted and decrypted"
    assert (await place.backup("two.age", verify=False))["verified"] == "reopened before encryption"
    assert sorted(each.name for each in place.to.iterdir()) == ["one.age", "two.age"]
    assert [each.name for each in place.settings.store.path.iterdir()] == ["swap-miner.sqlite"]
    raw = (place.to / "one.age").read_bytes()
    assert raw.startswith(b"age-encryption.org/v1")
    assert b"SQLite format" not in raw
    assert GENESIS.encode() not in raw


async def test_it_holds_store_log_and_settings_and_never_a_key(place: Place, tmp_path: Path) -> None:
    await (await store_at(place)).close()
    place.settings.recovery_file.write_text('{"a": 1}\n', encoding="utf-8")
    await place.backup()
    folder = place.unpacked("one.age", tmp_path / "u")
    assert (folder / sealed.RECOVERY).read_text(encoding="utf-8") == '{"a": 1}\n'
    assert (folder / sealed.SETTINGS).read_text(encoding="utf-8") == place.config.read_text(encoding="utf-8")
    whole = b"".join(each.read_bytes() for each in folder.iterdir())
    for secret in ("canary-hotkey", "canary-password", "canary-mnemonic", "canary-cookie", "AGE-SECRET"):
        assert secret.encode() not in whole


async def test_nothing_is_overwritten(place: Place) -> None:
    await (await store_at(place)).close()
    (place.to / "one.age").write_text("precious", encoding="utf-8")
    with pytest.raises(ConfigError, match="exists already"):
        await place.backup()
    assert (place.to / "one.age").read_text(encoding="utf-8") == "precious"


async def test_in_a_folder_it_is_named_by_the_time_and_old_ones_go(place: Place) -> None:
    await (await store_at(place)).close()
    for day in range(1, 4):
        (place.to / f"swap-miner-2020010{day}T000000Z.age").touch()
    (place.to / "other.age").touch()
    found = await place.backup("", keep=2)
    assert len(found["removed"]) == 2
    kept = sorted(each.name for each in place.to.iterdir())
    assert kept == ["other.age", "swap-miner-20200103T000000Z.age", Path(found["file"]).name]


async def test_a_damaged_store_is_no_backup(place: Place) -> None:
    store = await store_at(place)
    await discover(store, *range(1, 300))
    await store.close()
    with place.settings.store.file.open("r+b") as file:
        for offset in range(8192, 200_000, 4096):
            file.seek(offset + 100)
            file.write(b"\xff" * 64)
    with pytest.raises(StoreDamaged):
        await place.backup()
    assert list(place.to.iterdir()) == []


@pytest.mark.parametrize("recipients", [[], ["age1nonsense"], ["canary"]])
async def test_without_a_good_key_nothing_is_written(place: Place, recipients: list[str]) -> None:
    await (await store_at(place)).close()
    with pytest.raises(ConfigError, match="--recipient") as caught:
        await backups.make(place.settings, place.config, place.to / "x", recipients, None, 0)
    assert "canary" not in str(caught.value)
    assert list(place.to.iterdir()) == []


async def test_on_a_server_the_right_command_is_told(tmp_path: Path) -> None:
    text = replaced('path = "state"', 'path = "state"\nurl = "postgresql://m@db.test/miner"')
    config = write_settings(tmp_path, text)
    with pytest.raises(ConfigError, match=r"pg_dump .*postgresql://m@db\.test/miner"):
        await backups.make(load(config), config, tmp_path / "x.age", ["age1"], None, 0)


# opening


async def test_a_wrong_identity_opens_nothing(place: Place, tmp_path: Path) -> None:
    await (await store_at(place)).close()
    await place.backup()
    other, _ = key_pair(tmp_path, "other.txt")
    with pytest.raises(StoreDamaged, match="encrypted for others"):
        sealed.open_sealed(place.to / "one.age", tmp_path / "t", sealed.identities_of(other))
    with pytest.raises(StoreDamaged):
        await backups.make(place.settings, place.config, place.to / "2", [place.recipient], other, 0)
    assert not (place.to / "2").exists(), "what cannot be verified is not kept"


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.9, 0.999])
async def test_what_was_cut_off_or_changed_is_not_opened(place: Place, tmp_path: Path, part: float) -> None:
    await (await store_at(place)).close()
    await place.backup()
    raw = (place.to / "one.age").read_bytes()
    at = int(len(raw) * part)
    for name, spoiled in (("cut", raw[:at]), ("changed", raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])):
        (tmp_path / name).write_bytes(spoiled)
        with pytest.raises(StoreDamaged):
            sealed.open_sealed(
                tmp_path / name, tmp_path / f"{name}.tar", sealed.identities_of(place.identity)
            )


def test_an_identity_that_is_open_to_others_is_refused(place: Place, tmp_path: Path) -> None:
    place.identity.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        sealed.identities_of(place.identity)
    empty = tmp_path / "empty"
    empty.touch(0o600)
    with pytest.raises(ConfigError, match="no age secret key"):
        sealed.identities_of(empty)


def hostile_tars(folder: Path) -> Iterator[Path]:
    """What is encrypted for us and is no backup of ours."""
    for number, name in enumerate(("../escaped", "/absolute", "other")):
        path = folder / f"{number}.tar"
        with tarfile.open(path, "w") as tar:
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
        yield path
    path = folder / "link.tar"
    with tarfile.open(path, "w") as tar:
        info = tarfile.TarInfo(sealed.STORE)
        info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(info)
    yield path
    (folder / "no.tar").write_bytes(b"no tar at all")
    yield folder / "no.tar"


def test_what_is_no_backup_is_not_unpacked(tmp_path: Path) -> None:
    for number, path in enumerate(hostile_tars(tmp_path)):
        into = tmp_path / f"into{number}"
        into.mkdir()
        with pytest.raises(StoreDamaged):
            sealed.unpack(path, into)
        assert not (tmp_path / "escaped").exists()


async def test_a_part_that_is_not_what_the_manifest_says_is_refused(place: Place, tmp_path: Path) -> None:
    """By whoever knows the public key: then it is encrypted all right."""
    await (await store_at(place)).close()
    place.settings.recovery_file.write_text("true\n", encoding="utf-8")
    await place.backup()
    folder = place.unpacked("one.age", tmp_path / "u")
    (folder / sealed.RECOVERY).write_text("false\n", encoding="utf-8")
    with tarfile.open(tmp_path / "forged.tar", "w") as tar:
        for name in (sealed.MANIFEST, sealed.STORE, sealed.RECOVERY, sealed.SETTINGS):
            tar.add(folder / name, name)
    (tmp_path / "into").mkdir()
    with pytest.raises(StoreDamaged, match="not what its manifest says"):
        sealed.unpack(tmp_path / "forged.tar", tmp_path / "into")


# restoring


class Outside:
    """The model chains of a world, as `restore` connects to them."""

    def __init__(self, world: World) -> None:
        self.node, self._world = self, world
        self.genesis = world.node.genesis
        self.contract = world.contract
        self.rails = {Chain.TAO: world.tao, Chain.BTC: world.btc}
        self.miners = {m.hotkey: MinerAccounts(m.name, m.hotkey, m.accounts) for m in world.stage.miners}

    async def heads(self) -> Any:
        return self._world.node.heads()

    async def close(self) -> None: ...


@pytest.fixture
async def swaps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A daemon on model chains, whose store is on disk."""
    found = await World.make(tmp_path / "world" / "swap-miner.sqlite")

    async def connect(*_args: object) -> Outside:
        return Outside(found)

    monkeypatch.setattr(restoring, "connect", connect)
    yield found
    await found.stop()


async def back_up(world: World, place: Place) -> Path:
    """A backup of a world's store, which is not the one that it is restored to."""
    assert world.store.path is not None
    store = place.settings.store.model_copy(update={"path": world.store.path.parent})
    settings = place.settings.model_copy(update={"store": store})
    made = await backups.make(settings, place.config, place.to, [place.recipient], None, 0)
    return Path(made["file"])


async def restored(place: Place, file: Path, *, reconcile: bool = False) -> dict[str, Any]:
    return await restoring.restore(place.settings, file, place.identity, "operator:bob", reconcile=reconcile)


async def paid_one(world: World, dest: Chain) -> int:
    swap_id = world.stage.open_swap(dest)
    await world.block(6)
    if dest is Chain.BTC:
        await world.btc_block(2)
        await world.round()
    return swap_id


async def test_a_copy_that_lacks_nothing_is_restored_and_doubted(swaps: World, place: Place) -> None:
    await paid_one(swaps, Chain.TAO)
    await swaps.sweeps.run()
    file = await back_up(swaps, place)
    found = await restored(place, file)
    assert found["missing"] == []
    assert found["restored"]
    state = place.settings.store.path
    assert sorted(each.name for each in state.iterdir()) == [
        restoring.RESTORED_SETTINGS,
        "swap-miner.sqlite",
    ]
    assert all(mode_of(each) == 0o600 for each in state.iterdir())
    copy = SqlStore(place.settings.store.file)
    await copy.open()
    assert await copy.doubted_until(77) == 77, "no TAO payout before what it may lack has died"
    await copy.close()


@pytest.mark.parametrize("dest", list(Chain))
async def test_a_copy_that_is_older_than_the_chains_is_refused_with_what_it_lacks(
    swaps: World, place: Place, dest: Chain
) -> None:
    await paid_one(swaps, dest)
    await swaps.sweeps.run()
    file = await back_up(swaps, place)
    swap_id = await paid_one(swaps, dest)
    found = await restored(place, file)
    words = "\n".join(found["missing"])
    assert not found["restored"]
    assert f"swap {swap_id} is open on the contract" in words
    assert "the contract has given out 1 swap ids from" in words
    assert any(account in words for account in swaps.stage.miners[0].accounts.values()), words
    assert list(place.settings.store.path.iterdir()) == []
    again = await restored(place, file, reconcile=True)
    assert again["missing"] == found["missing"]
    assert again["restored"]
    assert backup.look_into(place.settings.store.file).sagas == 1


async def test_swaps_of_other_miners_are_no_reason_to_refuse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    """What is known to be another's does not count; what is ours does, and what nobody can tell any more."""
    world = await World.make(tmp_path / "world" / "swap-miner.sqlite", miners=2)
    outside = Outside(world)
    ours = dict(outside.miners)

    async def connect(*_args: object) -> Outside:
        return outside

    monkeypatch.setattr(restoring, "connect", connect)
    file = await back_up(world, place)
    swap_id = world.stage.open_swap(miner=1)
    assert len((await restored(place, file))["missing"]) == 2, "it is ours"

    outside.miners = {world.stage.miners[0].hotkey: ours[world.stage.miners[0].hotkey]}

    async def gone(ids: Sequence[int], _at: object) -> dict[int, None]:
        return dict.fromkeys(ids)

    with monkeypatch.context() as ended:
        ended.setattr(world.contract, "swaps", gone)
        (told,) = (await restored(place, file))["missing"]
    assert told == f"the contract has given out 1 swap ids from {swap_id} on since"
    found = await restored(place, file)
    assert (found["missing"], found["restored"]) == ([], True)
    await world.stop()


async def test_only_an_empty_folder_is_restored_into(swaps: World, place: Place) -> None:
    file = await back_up(swaps, place)
    left = place.settings.store.path / f"{restoring.DRAFT}dead"
    left.mkdir(parents=True)
    (left / "packed.tar").touch()
    assert (await restored(place, file))["restored"], "what a restore that died has left is no hindrance"
    assert not left.exists()
    with pytest.raises(ConfigError, match="is not empty"):
        await restored(place, file)


async def test_a_backup_of_another_contract_is_refused(swaps: World, place: Place, tmp_path: Path) -> None:
    await (await store_at(place)).close()
    await place.backup("other.age")
    for each in place.settings.store.path.iterdir():
        each.unlink()
    with pytest.raises(StoreDamaged, match="belongs to contract"):
        await restored(place, place.to / "other.age", reconcile=True)
    assert list(place.settings.store.path.iterdir()) == []


# the commands


def test_the_commands(run: Any, world: Any, tmp_path: Path) -> None:
    identity, recipient = key_pair(tmp_path, "id.txt")
    world.with_store(lambda store: store.bind(GENESIS, CONTRACT))
    out = tmp_path / "out.age"
    assert run("backup", out).code == Exit.USAGE
    found = run("backup", out, "--recipient", recipient, "--identity", identity)
    assert found.code == 0
    assert "verified: reopened, encrypted and decrypted" in found.out
    assert run("backup", out, "--recipient", recipient).code == Exit.USAGE
    told = run("backup", tmp_path / "two.age", "--recipient", recipient, "--json").json
    assert told["store"]["contract"] == CONTRACT
    refused = run("restore", out, "--identity", identity)
    assert refused.code == Exit.USAGE
    assert "is not empty" in refused.err
    assert "canary" not in found.out + refused.err
