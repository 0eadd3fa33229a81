"""Overrides from the environment: `SWAP_MINER__LIMITS__TAO__MAX_FEE="0.02 TAO"`.

A name is the key's path with two underscores between its parts. A list is written as JSON
(`SWAP_MINER__CONTRACT__ENDPOINTS='["wss://node.example"]'`); so are the miners, as a whole.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

PREFIX = "SWAP_MINER__"


class EnvironmentSource(PydanticBaseSettingsSource):
    """The overrides as a tree, for pydantic-settings to lay over the file's."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        """Not used: the tree is given as a whole."""
        return None, field_name, False

    def __call__(self) -> dict[str, Any]:
        """The tree."""
        return tree_of(os.environ)


def path_of(name: str) -> tuple[str, ...]:
    """The key path that a variable overrides; empty where it is none of ours."""
    return tuple(name[len(PREFIX) :].lower().split("__")) if name.upper().startswith(PREFIX) else ()


def overrides(environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Name of the variable by the key path that it overrides."""
    return {path: name for name in sorted(environment) if (path := path_of(name))}


def tree_of(environment: Mapping[str, str]) -> dict[str, Any]:
    """Every override as nested tables. Of two that exclude each other, the deeper one is kept."""
    tree: dict[str, Any] = {}
    for path, name in sorted(overrides(environment).items()):
        table = tree
        for part in path[:-1]:
            inner = table.get(part)
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[path[-1]] = value_of(environment[name])
    return tree


def value_of(text: str) -> Any:
    """A variable's value. Lists and tables are JSON; anything else stays text, which the model reads."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return text
    return text
