"""The pieces that statements are made of."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, BindParameter, ColumnElement, String, bindparam, literal_column

from miner.store.dialect import clock_ms

NOW = clock_ms()
NO: ColumnElement[int] = literal_column("0")


def number(name: str) -> BindParameter[int]:
    """An integer parameter."""
    return bindparam(f"p_{name}", type_=BigInteger())


def text(name: str) -> BindParameter[str]:
    """A text parameter."""
    return bindparam(f"p_{name}", type_=String())


def many(name: str) -> BindParameter[Any]:
    """A parameter that stands for a list of values, for `IN`."""
    return bindparam(f"p_{name}", expanding=True)


def word(value: str) -> ColumnElement[str]:
    """A constant of ours, written out, so that a partial index serves it."""
    return literal_column(f"'{value}'", String())
