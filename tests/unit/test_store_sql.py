"""Every statement speaks PostgreSQL too, and what a driver's error means."""

import importlib
import pkgutil
import sqlite3
from collections.abc import Iterator

import pytest
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.schema import CreateIndex, CreateTable
from sqlalchemy.sql import Executable

from miner.errors import InvariantBroken, StoreDamaged, StoreUnavailable
from miner.store import dialect, statements
from miner.store.schema import metadata


def named() -> Iterator[tuple[str, Executable]]:
    for module in pkgutil.iter_modules(statements.__path__):
        found = importlib.import_module(f"{statements.__name__}.{module.name}")
        for name, value in vars(found).items():
            if name.isupper() and isinstance(value, Executable):
                yield f"{module.name}.{name}", value


STATEMENTS = dict(named())
KEYS = {
    "records.IMPORT": ["swap_id"],
    "sagas.INSERT": ["swap_id"],
    "notices.ADD": ["notice_id", "target"],
}
"""Columns that a statement is always given besides its own."""


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_compile_for_both(name: str) -> None:
    for spoken in (postgresql.dialect(), sqlite.dialect()):  # type: ignore[no-untyped-call]
        text = str(STATEMENTS[name].compile(dialect=spoken, column_keys=KEYS.get(name)))  # type: ignore[attr-defined]
        assert ("store_clock_ms" in text) is ("clock_ms" in text and spoken.name == "sqlite")


def test_there_are_statements() -> None:
    assert len(STATEMENTS) > 50


def test_tables_and_indexes_compile_for_postgresql() -> None:
    spoken = postgresql.dialect()  # type: ignore[no-untyped-call]
    for table in metadata.sorted_tables:
        assert "BIGINT" in str(CreateTable(table).compile(dialect=spoken)) or table.name == "meta"
        for index in table.indexes:
            assert "CREATE" in str(CreateIndex(index).compile(dialect=spoken))


def error(code: int) -> sqlite3.Error:
    made = sqlite3.OperationalError("why")
    made.sqlite_errorcode = code
    return made


@pytest.mark.parametrize(
    ("code", "means"),
    [
        (sqlite3.SQLITE_CORRUPT, StoreDamaged),
        (sqlite3.SQLITE_CORRUPT_INDEX, StoreDamaged),
        (sqlite3.SQLITE_NOTADB, StoreDamaged),
        (sqlite3.SQLITE_FULL, StoreUnavailable),
        (sqlite3.SQLITE_BUSY, StoreUnavailable),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreUnavailable),
        (sqlite3.SQLITE_READONLY, StoreUnavailable),
        (sqlite3.SQLITE_CANTOPEN, StoreUnavailable),
    ],
)
def test_what_an_error_means(code: int, means: type[Exception]) -> None:
    with pytest.raises(means, match=r"file: why|file is damaged: why") as caught, dialect.translated("file"):
        raise error(code)
    assert isinstance(caught.value.__cause__, sqlite3.OperationalError)


def test_a_broken_rule_of_the_schema_is_a_broken_law() -> None:
    with pytest.raises(InvariantBroken), dialect.translated("file"):
        raise IntegrityError("statement", {}, sqlite3.IntegrityError("UNIQUE constraint failed"))
    with pytest.raises(InvariantBroken), dialect.translated("file"):
        raise OverflowError
