"""Hypothesis strategies that spoil real replies: any JSON in place of any part, and changed bytes."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import strategies as st

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.sampled_from(["0x", "0xzz", "0x0", "-0x1", "0x" + "00" * 32, "00" * 32, "0x" + "f" * 40, "1e9"])
)
"""JSON values without parts."""
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
"""Any JSON value, small."""


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of a JSON value and of all its parts, outermost first."""
    found = [path]
    if isinstance(value, dict):
        for key, each in value.items():
            found += places(each, (*path, key))
    elif isinstance(value, list):
        for index, each in enumerate(value[:4]):
            found += places(each, (*path, index))
    return found


@st.composite
def spoiled_json(draw: st.DrawFn, value: Any) -> Any:
    """The value with one part replaced, or left out."""
    path = draw(st.sampled_from(places(value)))
    if not path:
        return draw(VALUES)
    whole = copy.deepcopy(value)
    inner = whole
    for step in path[:-1]:
        inner = inner[step]
    if draw(st.integers(0, 4)) == 0:
        del inner[path[-1]]
    else:
        inner[path[-1]] = draw(VALUES)
    return whole


@st.composite
def spoiled_bytes(draw: st.DrawFn, data: bytes) -> bytes:
    """The bytes cut, lengthened, or with some of them changed; sometimes other bytes altogether."""
    kind = draw(st.sampled_from(["cut", "longer", "changed", "changed", "changed", "other"]))
    if kind == "cut":
        return data[: draw(st.integers(0, max(len(data) - 1, 0)))]
    if kind == "longer":
        return data + draw(st.binary(min_size=1, max_size=40))
    if kind == "other" or not data:
        return draw(st.binary(max_size=80))
    changed = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        changed[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(changed)
