"""The OpenAPI 3.1 document, made from the table of routes and the models of what they take and tell."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from miner.ops.access import Scope
from miner.ops.problems import MEDIA_TYPE
from miner.ops.routes import JSON, Route
from miner.ops.shapes import MAX_ID, ProblemShape

REF = "#/components/schemas/{model}"
_ABOUT = (
    "What a running daemon tells, and takes from its operator. On a Unix socket in the state folder, and on "
    "a loopback port where the settings name one. Amounts are decimal strings in the chain's smallest unit. "
    "Everything that goes wrong is a problem (RFC 9457)."
)


def document(routes: Sequence[Route]) -> dict[str, Any]:
    """The whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "swap-miner", "version": _version(), "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _version() -> str:
    try:
        return version("swap-miner")
    except PackageNotFoundError:
        return "0"


def _schemas(routes: Sequence[Route]) -> dict[str, Any]:
    told = {route.tells for route in routes} | {ProblemShape}
    said = {route.body for route in routes if route.body is not None}
    wanted: list[tuple[type[BaseModel], Any]] = [(each, "serialization") for each in sorted(told, key=_name)]
    wanted += [(each, "validation") for each in sorted(said, key=_name)]
    found: dict[str, Any] = models_json_schema(wanted, ref_template=REF)[1]["$defs"]
    return found


def _name(model: type[BaseModel]) -> str:
    return model.__name__


def _operation(route: Route) -> dict[str, Any]:
    text = " ".join((route.answer.__doc__ or "").split())
    found: dict[str, Any] = {
        "operationId": re.sub(r"\W+", "_", f"{route.method.lower()}{route.path}").strip("_"),
        "summary": text.partition(". ")[0].rstrip("."),
        "description": text,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": _responses(route),
    }
    if route.scope is not Scope.HEALTH:
        found["security"] = [{"token": []}]
        found["x-scope"] = route.scope.name.lower()
    if route.body is not None:
        schema = {"$ref": REF.format(model=route.body.__name__)}
        required = any(field.is_required() for field in route.body.model_fields.values())
        found["requestBody"] = {"required": required, "content": {JSON: {"schema": schema}}}
    return found


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    if "{swap_id}" not in route.path:
        return []
    schema = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
    text = "The contract's id of the swap"
    return [{"name": "swap_id", "in": "path", "required": True, "schema": schema, "description": text}]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    shape = route.query.model_json_schema()
    found = []
    for name, schema in shape["properties"].items():
        text = schema.pop("description", "")
        found.append({"name": name, "in": "query", "schema": _inlined(schema, shape), "description": text})
    if route.media == "text/event-stream":
        text = "Id of the last event that was seen; sent by a browser that connects again"
        schema = {"type": "integer", "minimum": 0, "maximum": MAX_ID}
        found.append({"name": "Last-Event-ID", "in": "header", "schema": schema, "description": text})
    return found


def _inlined(schema: Any, shape: dict[str, Any]) -> Any:
    """A query's schema without references, and without the null that a query cannot say."""
    if isinstance(schema, list):
        return [_inlined(each, shape) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(shape["$defs"][schema["$ref"].rpartition("/")[2]], shape)
    choices = schema.get("anyOf")
    if choices is not None:
        real = [each for each in choices if each.get("type") != "null"]
        if len(real) == 1:
            return _inlined(real[0], shape)
    return {key: _inlined(value, shape) for key, value in schema.items() if key not in ("default", "title")}


def _responses(route: Route) -> dict[str, Any]:
    schema: dict[str, Any] = {"$ref": REF.format(model=route.tells.__name__)}
    if route.media != JSON:
        schema = {"type": "string"}
    found = {"200": {"description": "As asked", "content": {route.media: {"schema": schema}}}}
    for status in sorted({*_common(route), *route.problems}):
        problem = {"schema": {"$ref": REF.format(model=ProblemShape.__name__)}}
        found[str(status)] = {"description": HTTPStatus(status).phrase, "content": {MEDIA_TYPE: problem}}
    return found


def _common(route: Route) -> set[int]:
    """Problems that come before a path's own answer."""
    found = {403, 413, 503}
    if route.scope is not Scope.HEALTH:
        found.add(401)
    if route.query is not None or route.body is not None or "{swap_id}" in route.path:
        found.add(422)
    if route.body is not None:
        found.add(415)
    return found
