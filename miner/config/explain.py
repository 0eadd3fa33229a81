"""From a validation error to file, line, key, value and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from miner.config.environment import overrides, value_of
from miner.config.lines import lines_of, nearest
from miner.config.problems import BadValue, dotted, looks_secret, shown
from miner.config.settings import Settings
from miner.errors import ConfigError

KeyPath = tuple[str | int, ...]
_MISSING = object()


class Explainer:
    """Knows where each value came from."""

    def __init__(
        self, path: Path, text: str, tree: Mapping[str, Any], environment: Mapping[str, str]
    ) -> None:
        self._path = path
        self._lines = lines_of(text)
        self._tree = tree
        self._environment = environment
        self._overrides = overrides(environment)

    def validation(self, error: ValidationError) -> list[ConfigError]:
        """Every problem that pydantic found, in the order of the file, those from elsewhere first."""
        found = [
            self._explain(details)
            for details in error.errors(include_url=False)
            if not self._is_echo(details)
        ]
        found.sort(key=lambda pair: pair[0])
        return list({str(problem): problem for _, problem in found}.values())

    def problem(self, found: tuple[KeyPath, str, str]) -> ConfigError:
        """A problem of ours, given as key path, problem and remedy."""
        path, problem, remedy = found
        return ConfigError(self.where(path), problem, remedy)

    def stray_names(self, tree: Mapping[str, Any]) -> list[ConfigError]:
        """What the model never sees: variables that override nothing, keys that begin with `_`."""
        out = [
            self.problem(((key,), "there is no such setting", _suggest(key, names_at(()))))
            for key in tree
            if key.startswith("_")
        ]
        for path, name in self._overrides.items():
            depth = next((i for i in range(len(path)) if path[i] not in names_at(path[:i])), None)
            if depth is not None:
                problem = f"there is no setting {dotted(path[: depth + 1])}"
                out.append(
                    ConfigError(f"environment {name}", problem, _suggest(path[depth], names_at(path[:depth])))
                )
        return out

    def where(self, path: KeyPath) -> str:
        """The file and line and key; or the variable, where the value is from the environment."""
        name, rest = self._override(path)
        if name is not None:
            return f"environment {name}" + (f": {dotted(rest)}" if rest else "")
        line = nearest(self._lines, path)
        return f"{self._path}{f':{line}' if line else ''}: {dotted(path)}"

    def _is_echo(self, details: ErrorDetails) -> bool:
        """Whether it only repeats another: a list without its bad items, a table of a stray variable."""
        path: KeyPath = tuple(details["loc"])
        if details["type"] == "too_short":
            return bool(self._value(path))
        return details["type"] == "extra_forbidden" and self._is_stray(path)

    def _is_stray(self, path: KeyPath) -> bool:
        in_file: Any = self._tree
        for part in path:
            try:
                in_file = in_file[part]
            except (KeyError, IndexError, TypeError):
                return any(name[: len(path)] == path for name in self._overrides)
        return False

    def _override(self, path: KeyPath) -> tuple[str | None, KeyPath]:
        """The variable that a value is from, with the path within it; None and the whole path: the file."""
        for length in range(len(path), 0, -1):
            name = self._overrides.get(tuple(str(part) for part in path[:length]))
            if name is not None:
                return name, path[length:]
        return None, path

    def _explain(self, details: ErrorDetails) -> tuple[int, ConfigError]:
        path: KeyPath = tuple(details["loc"])
        cause = details.get("ctx", {}).get("error")
        if isinstance(cause, BadValue):
            path += cause.key
            problem, remedy = cause.problem, cause.remedy
        else:
            problem, remedy = self._generic(details, path)
        problem = problem.replace("{value}", self._shown(path))
        return nearest(self._lines, path) or 0, ConfigError(self.where(path), problem, remedy)

    def _generic(self, details: ErrorDetails, path: KeyPath) -> tuple[str, str]:
        kind = details["type"]
        if kind == "extra_forbidden":
            if not isinstance(path[-1], str):
                return "there is no such setting", "Remove it"
            return "there is no such setting", _suggest(path[-1], names_at(path[:-1]))
        if kind == "missing":
            return "is not set", f"Add it to the file: {meaning(path) or 'it has no default'}"
        if kind == "too_short":
            return "is empty", f"Name at least one: {meaning(path)}" if meaning(path) else "Name at least one"
        if kind in ("model_type", "model_attributes_type", "dict_type"):
            return "{value} is no table", f"Write its settings in a table: {', '.join(names_at(path))}"
        if kind in ("tuple_type", "list_type"):
            example = f"[[{dotted(path)}]], one table each" if _model_at(path) else '["one", "another"]'
            return "{value} is no list", f"Write a list: {example}"
        message = details["msg"].replace("Input should be", "it should be").replace("Input", "it")
        return f"{{value}} will not do: {message}", f"It is: {meaning(path)}" if meaning(
            path
        ) else "Correct the value"

    def _shown(self, path: KeyPath) -> str:
        value = self._value(path)
        if value is _MISSING:
            return "this"
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        return shown(key, value)

    def _value(self, path: KeyPath) -> Any:
        name, rest = self._override(path)
        value: Any = self._tree if name is None else value_of(self._environment[name])
        for part in rest:
            try:
                value = value[part]
            except (KeyError, IndexError, TypeError):
                return _MISSING
        return value


def names_at(path: KeyPath) -> Sequence[str]:
    """The keys that may stand in a table; none where there is no such table."""
    model = _model_at(path)
    return [] if model is None else list(model.model_fields)


def meaning(path: KeyPath) -> str:
    """What a setting is, from the model; empty where it says nothing."""
    names = tuple(part for part in path if isinstance(part, str))
    model = _model_at(names[:-1]) if names else None
    field = None if model is None else model.model_fields.get(names[-1])
    if field is None:
        return ""
    return field.description or _docstring(model_of(field))


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    """The table that a field holds, or a list of; None for a plain value."""
    return _model_in(field.annotation)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if get_origin(annotation) in (Union, UnionType, tuple):
        return next(filter(None, map(_model_in, get_args(annotation))), None)
    return None


def _model_at(path: KeyPath) -> type[BaseModel] | None:
    model: type[BaseModel] | None = Settings
    for part in path:
        if isinstance(part, int):
            continue
        field = None if model is None else model.model_fields.get(part)
        model = None if field is None else model_of(field)
    return model


def _docstring(model: type[BaseModel] | None) -> str:
    return "" if model is None else (model.__doc__ or "").strip().split("\n")[0]


def _suggest(written: str, names: Sequence[str]) -> str:
    if looks_secret(written) or not names:
        return "Remove it"
    near = difflib.get_close_matches(written.lower(), names, n=1, cutoff=0.6)
    if near:
        return f"Did you mean {near[0]}?"
    return f"Remove it; there are: {', '.join(names)}"
