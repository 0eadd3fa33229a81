"""`[store]` for PostgreSQL: what is read, what is refused, and that no password is ever shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from miner.config import Settings, read, settings_lines
from miner.errors import ConfigError
from tests.unit.config_files import GOOD

SECRET = "correct-horse-battery"
URL = "postgresql://swapminer@127.0.0.1:5432/swapminer"


def with_store(*lines: str) -> Settings:
    text = GOOD.replace('path = "state"', "\n".join(('path = "state"', *lines)))
    assert text != GOOD or not lines
    return read(text, Path("/etc/x/config.toml"))


def test_a_url_takes_the_place_of_the_file() -> None:
    store = with_store(
        f'url = "{URL}?connect_timeout=3"', 'password_file = "env:PG_WORD"', "standby = true"
    ).store
    assert (store.url, store.standby, store.place) == (f"{URL}?connect_timeout=3", True, URL)
    assert store.may_exist
    assert str(store.password_file) == "env:PG_WORD"


def test_without_one_it_is_the_file() -> None:
    store = with_store().store
    assert (store.url, store.standby, store.place) == (None, False, str(store.file))
    assert not store.may_exist


@pytest.mark.parametrize(
    ("url", "problem"),
    [
        (f"postgresql://user:{SECRET}@host/db", "holds a password"),
        (f"postgresql://user@host/db?password={SECRET}", "holds a password"),
        (f"postgresql://user@host/db?sslmode=require&sslpassword={SECRET}", "holds a password"),
        ("mysql://host/db", "is no PostgreSQL database"),
        ("postgresql://host", "is no PostgreSQL database"),
        ("postgresql://host/", "is no PostgreSQL database"),
        ("postgresql://ho st/db", "is no PostgreSQL database"),
    ],
)
def test_a_url_that_is_refused_is_not_repeated_with_its_password(url: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_store(f'url = "{url}"')
    told = str(caught.value)
    assert "store.url" in told
    assert problem in told
    assert "postgresql://user@host:5432/database" in told
    assert SECRET not in told


@pytest.mark.parametrize("line", ["standby = true", 'password_file = "/etc/x/pw"'])
def test_what_is_for_a_server_is_refused_without_one(line: str) -> None:
    with pytest.raises(ConfigError, match="names none"):
        with_store(line)


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "store.password"
    secret.write_text(SECRET)
    secret.chmod(0o644)
    store = with_store(f'url = "{URL}"', f'password_file = "{secret}"').store
    assert store.password_file is not None
    with pytest.raises(ConfigError) as caught:
        store.password_file.read()
    assert "open to other users" in str(caught.value)
    assert SECRET not in str(caught.value)
    secret.chmod(0o600)
    assert store.password_file.read() == SECRET
    assert SECRET not in repr(store)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (URL, False),
        ("postgresql://u@localhost/db", False),
        ("postgresql:///db?host=/run/postgresql", False),
        ("postgresql://u@db.example:5432/db", True),
        ("postgresql://u@db.example:5432/db?sslmode=require", True),
        ("postgresql://u@db.example:5432/db?sslmode=verify-full", False),
    ],
)
def test_a_server_elsewhere_is_to_be_known_by_its_certificate(url: str, told: bool) -> None:
    lines = [
        line for line in settings_lines(with_store(f'url = "{url}"')) if line.name.startswith("store at")
    ]
    assert bool(lines) is told
    assert all("verify-full" in line.remedy for line in lines)
