"""A bystander's store takes the database as it is, and leaves every judgement of it to the daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Connection

from miner.errors import StoreUnavailable
from miner.store import SqlStore, doubts
from miner.store.server import Server
from tests.conformance.store_builders import CONTRACT, GENESIS
from tests.postgres.house import real_schema, the_server


def another_server(conn: Connection) -> None:
    """As if the store had been written on another server."""
    doubts.name(conn, doubts.SERVER, "1/1")


def noted(conn: Connection) -> tuple[str | None, str | None]:
    return doubts.named(conn, doubts.SERVER), doubts.named(conn, doubts.DOUBT)


async def test_it_notes_no_change_that_the_daemon_has_to_note() -> None:
    url = real_schema(the_server())
    daemon = SqlStore(url)
    await daemon.open()
    await daemon.bind(GENESIS, CONTRACT)
    await daemon.database.write(another_server)
    await daemon.close()
    looking = SqlStore(url, bystander=True)
    await looking.open()
    assert await looking.database.read(noted) == ("1/1", None)
    assert await looking.what_changed() is None
    await looking.close()
    daemon = SqlStore(url)
    await daemon.open()
    assert "1/1" in (await daemon.what_changed() or ""), "the daemon still finds it"
    assert (await daemon.database.read(noted))[1] == ""
    await daemon.close()


@pytest.mark.parametrize("bystander", [True, False], ids=["a bystander", "a daemon"])
async def test_it_goes_on_when_the_database_has_become_another(bystander: bool) -> None:
    store = SqlStore(real_schema(the_server()), bystander=bystander)
    await store.open()
    await store.bind(GENESIS, CONTRACT)
    server = cast(Any, store.database)
    assert isinstance(server, Server)
    moved: Any = server
    moved._standing = None  # it was another server
    moved._drop()
    if bystander:
        assert not await store.paused()
        assert await store.set_paused("all", True, "operator:x")
    else:
        with pytest.raises(StoreUnavailable, match="before the daemon has taken note"):
            await store.paused()
    await store.close()


@pytest.mark.parametrize(("bystander", "reads"), [(True, 0), (False, 1)], ids=["a bystander", "a daemon"])
async def test_a_file_that_the_daemon_has_just_read_is_not_read_whole_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bystander: bool, reads: int
) -> None:
    daemon = SqlStore(tmp_path / "store.sqlite")
    await daemon.open()
    done: list[Path] = []
    monkeypatch.setattr("miner.store.dialect.quick_check", lambda _conn, path: done.append(path))
    looking = SqlStore(tmp_path / "store.sqlite", bystander=bystander)
    await looking.open()
    assert len(done) == reads
    assert await looking.last_position() == 0
    await looking.close()
    await daemon.close()
