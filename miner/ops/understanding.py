"""From a request to what it says, or to a problem that tells what is wrong with it."""

from __future__ import annotations

import re
from typing import Any, get_origin

from aiohttp import web
from pydantic import BaseModel, ValidationError

from miner.ops.desk import Call
from miner.ops.problems import Problem
from miner.ops.shapes import MAX_ID

_ID = re.compile(r"[0-9]{1,19}", re.ASCII)


async def understood(
    request: web.Request, query: type[BaseModel] | None, body: type[BaseModel] | None
) -> Call:
    """What a request says.

    Raises:
        Problem: 415 for a body that is no JSON by its own word, 422 for what does not fit.
    """
    return Call(
        request,
        swap_id=_swap_id(request),
        query=_query(request, query),
        body=None if body is None else await _body(request, body),
    )


def _swap_id(request: web.Request) -> int:
    told = request.match_info.get("swap_id")
    if told is None:
        return 0
    if not _ID.fullmatch(told) or int(told) > MAX_ID:
        raise Problem(422, "the id of a swap is a number", errors=[_wrong("path.swap_id", "no number")])
    return int(told)


def _query(request: web.Request, shape: type[BaseModel] | None) -> BaseModel | None:
    if shape is None:
        return None
    values: dict[str, Any] = {}
    for name in set(request.query):
        told = request.query.getall(name)
        field = shape.model_fields.get(name)
        many = field is not None and get_origin(field.annotation) is list
        if len(told) > 1 and not many:
            raise Problem(422, f"{name[:40]!r} is given twice", errors=[_wrong("query", "given twice")])
        values[name] = told if many else told[0]
    try:
        return shape.model_validate(values)
    except ValidationError as error:
        raise _problem("query", error) from None


async def _body(request: web.Request, shape: type[BaseModel]) -> BaseModel:
    raw = await request.read()
    if request.content_type != "application/json" and raw:
        raise Problem(415, "the body is read as application/json alone")
    try:
        return shape.model_validate_json(raw or b"{}", strict=True)
    except ValidationError as error:
        raise _problem("body", error) from None


def _problem(where: str, error: ValidationError) -> Problem:
    """Names and rules, never the values: a body may hold settings."""
    found = [
        _wrong(".".join([where, *map(str, each["loc"])])[:200], each["msg"])
        for each in error.errors(include_url=False, include_context=False, include_input=False)
    ]
    return Problem(422, f"the {where} does not fit: {found[0]['where']}: {found[0]['problem']}", errors=found)


def _wrong(where: str, problem: str) -> dict[str, str]:
    return {"where": where, "problem": problem}
