"""The store's own statements over SQLite's own driver, without what lies between: for many histories.

Each statement is compiled once by the same compiler; rows have their columns as attributes. What this does
otherwise than the library is held to by the store's suites, which run over it too.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

from sqlalchemy.dialects import sqlite
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound

from miner.store.dialect import translated

T = TypeVar("T")
_DIALECT = sqlite.dialect()
Params = Mapping[str, Any]


class _Statement:
    """One statement, compiled for the columns that its parameters name."""

    def __init__(self, statement: Any, keys: tuple[str, ...]) -> None:
        self.statement = statement  # keeps its id from being another's
        self._compiled: Any = statement.compile(dialect=_DIALECT, column_keys=list(keys) if keys else None)
        self._expands = bool(self._compiled.post_compile_params)
        self._by_size: dict[tuple[int, ...], tuple[str, list[tuple[str, int | None]]]] = {}
        self._fixed: Params = self._compiled.construct_params(_check=False)
        self._plain: tuple[str, tuple[str, ...]] = (
            self._compiled.string,
            tuple(self._compiled.positiontup or ()),
        )

    def ready(self, params: Params) -> tuple[str, list[Any]]:
        """Text and values in their order."""
        values = {**self._fixed, **params}
        if self._expands:
            return self._expanded(values)
        text, names = self._plain
        return text, [values[name] for name in names]

    def _expanded(self, values: dict[str, Any]) -> tuple[str, list[Any]]:
        """As often as the same number of values comes, the same text."""
        sizes = tuple(
            len(each) for each in values.values() if isinstance(each, list | tuple | set | frozenset)
        )
        if sizes not in self._by_size:
            found = self._compiled._process_parameters_for_postcompile(dict(values))
            places = {
                new: (name, at)
                for name, news in found.parameter_expansion.items()
                for at, new in enumerate(news)
            }
            self._by_size[sizes] = (
                found.statement,
                [places.get(name, (name, None)) for name in found.positiontup],
            )
        text, names = self._by_size[sizes]
        return text, [values[name] if at is None else list(values[name])[at] for name, at in names]


_compiled: dict[tuple[int, tuple[str, ...]], _Statement] = {}
_rows: dict[tuple[str, ...], Any] = {}


def _row_type(names: tuple[str, ...]) -> Any:
    if names not in _rows:
        made: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
        _rows[names] = type(
            "Row", (made,), {"__slots__": (), "_mapping": property(lambda row: row._asdict())}
        )
    return _rows[names]


class Found:
    """What a statement gave."""

    def __init__(self, rows: list[Any], rowcount: int) -> None:
        self._rows = rows
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def all(self) -> list[Any]:
        """Every row."""
        return self._rows

    def first(self) -> Any:
        """The first, or None."""
        return self._rows[0] if self._rows else None

    def one_or_none(self) -> Any:
        """The only one, or None."""
        if len(self._rows) > 1:
            raise MultipleResultsFound("more than one row")
        return self.first()

    def one(self) -> Any:
        """The only one."""
        if not self._rows:
            raise NoResultFound("no row")
        return self.one_or_none()

    def scalars(self) -> Found:
        """First column of each."""
        return Found([row[0] for row in self._rows], self.rowcount)

    def scalar_one(self) -> Any:
        """First column of the only one."""
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        """First column of the only one, or None."""
        row = self.one_or_none()
        return None if row is None else row[0]

    def mappings(self) -> Found:
        """Rows as mappings."""
        return Found([row._mapping for row in self._rows], self.rowcount)


class ThinConnection:
    """What the store asks of a connection."""

    dialect = SimpleNamespace(name="sqlite", default_schema_name=None)

    def __init__(self, raw: sqlite3.Connection) -> None:
        self._raw = raw
        self.info: dict[str, Any] = {}

    def transact(self, writes: bool, work: Callable[..., T], *args: Any, **kw: Any) -> T:
        """Run `work` in a transaction: all of it is committed, or nothing."""
        raw = self._raw
        with translated("the store in memory"):
            raw.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
            try:
                done = work(self, *args, **kw)
            except BaseException:
                raw.execute("ROLLBACK")
                raise
            raw.execute("COMMIT")
            return done

    def execute(self, statement: Any, params: Params | Sequence[Params] | None = None) -> Found:
        """Run a statement, or the same one with each of several parameters."""
        several = params if isinstance(params, Sequence) else [params or {}]
        count, rows = 0, []
        for each in several:
            key = (id(statement), tuple(each))
            if (ready := _compiled.get(key)) is None:
                ready = _compiled[key] = _Statement(statement, key[1])
            found = self._run(*ready.ready(each))
            rows, count = found.all(), count + found.rowcount
        return Found(rows, count)

    def exec_driver_sql(self, text: str, params: Sequence[Any] = ()) -> Found:
        """Run text."""
        return self._run(text, params)

    def _run(self, text: str, values: Sequence[Any]) -> Found:
        try:
            cursor = self._raw.execute(text, values)
        except sqlite3.IntegrityError as exc:
            raise IntegrityError(text, None, exc) from exc
        if cursor.description is None:
            return Found([], cursor.rowcount)
        row = _row_type(tuple(each[0] for each in cursor.description))
        rows = [row._make(each) for each in cursor.fetchall()]
        return Found(rows, cursor.rowcount)
