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
from sqlalchemy.exc import IntegrityError, MultipleResultsFound, NoResultFound, SQLAlchemyError

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
_rows: dict[str, Any] = {}


def _row_type(names: tuple[str, ...]) -> Any:
    made: Any = namedtuple("Row", names, rename=True)  # type: ignore[misc]
    return type("Row", (made,), {"__slots__": (), "_mapping": property(lambda row: row._asdict())})


class Found:
    """What a statement gave."""

    __slots__ = ("_rows", "rowcount")

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
        """Run `work` in a transaction: all of it is committed, or nothing.

        What only reads needs none here: nobody else comes between, and nothing is to be taken back.
        """
        try:
            return self._written(work, *args, **kw) if writes else work(self, *args, **kw)
        except (sqlite3.Error, SQLAlchemyError, OverflowError) as exc:
            with translated("the store in memory"):
                raise exc

    def _written(self, work: Callable[..., T], *args: Any, **kw: Any) -> T:
        raw = self._raw
        raw.execute("BEGIN IMMEDIATE")
        try:
            done = work(self, *args, **kw)
        except BaseException:
            raw.execute("ROLLBACK")
            raise
        raw.execute("COMMIT")
        return done

    def execute(self, statement: Any, params: Params | Sequence[Params] | None = None) -> Found:
        """Run a statement, or the same one with each of several parameters."""
        if not isinstance(params, list | tuple):
            return self._one(statement, params or {})  # type: ignore[arg-type]
        found = [self._one(statement, each) for each in params]
        return Found(found[-1].all() if found else [], sum(each.rowcount for each in found))

    def _one(self, statement: Any, params: Params) -> Found:
        key = (id(statement), tuple(params))
        if (ready := _compiled.get(key)) is None:
            ready = _compiled[key] = _Statement(statement, key[1])
        return self._run(*ready.ready(params))

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
        if not (found := cursor.fetchall()):
            return Found(found, cursor.rowcount)
        if (row := _rows.get(text)) is None:
            row = _rows[text] = _row_type(tuple(each[0] for each in cursor.description))
        return Found([row(*each) for each in found], cursor.rowcount)
