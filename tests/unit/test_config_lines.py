"""On which line a key stands."""

import string
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.config.lines import line_of, lines_of

TEXT = '''\
# a comment with = and [brackets]
top = 1
"quoted key" = """
a long string
with = signs and [[tables]]
"""
dotted.key = 'x' # c
list = [
  1, # one
  { inner = "}" },
  """]
  """,
  [ "nested" ],
]

[table]
value = 2024-01-01T00:00:00Z
inline = { a = 1, b = { c = [1, 2] } }
long = \'\'\'
]\'\'\'

[table.sub]
k = "\\"["

[[many]]
name = "first"
[many.child]
x = 1
[[many]]
name = "second"
  [[many.deep]]
  y = 1
  [[many.deep]]
  y = 2
'''


@pytest.mark.parametrize(
    ("path", "needle"),
    [
        (("top",), "top = 1"),
        (("quoted key",), '"quoted key"'),
        (("dotted", "key"), "dotted.key"),
        (("list",), "list = ["),
        (("list", 0), "1, # one"),
        (("list", 1, "inner"), "{ inner"),
        (("list", 2), '"""]'),
        (("list", 3, 0), '[ "nested" ]'),
        (("table",), "[table]"),
        (("table", "value"), "value = 2024"),
        (("table", "inline", "b", "c", 1), "inline = {"),
        (("table", "long"), "long = '''"),
        (("table", "sub", "k"), 'k = "'),
        (("many",), "[[many]]"),
        (("many", 0), "[[many]]"),
        (("many", 0, "name"), 'name = "first"'),
        (("many", 0, "child", "x"), "x = 1"),
        (("many", 1, "name"), 'name = "second"'),
        (("many", 1, "deep", 0, "y"), "y = 1"),
        (("many", 1, "deep", 1, "y"), "y = 2"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_the_line_of_a_key(path: tuple[str | int, ...], needle: str, newline: str) -> None:
    tomllib.loads(TEXT)
    expected = next(number for number, line in enumerate(TEXT.split("\n"), 1) if needle in line)
    assert line_of(TEXT.replace("\n", newline), path) == expected


def test_a_missing_key_stands_where_its_parent_does() -> None:
    assert line_of(TEXT, ("many", 1, "absent", "deeper")) == TEXT[: TEXT.rindex("[[many]]")].count("\n") + 1
    assert line_of(TEXT, ("absent",)) is None
    assert line_of("", ()) is None


@pytest.mark.parametrize(
    "text", ["[", "[[a", "a", "a =", "a = [", "a = {", 'a = "', "a = '''", '"', "= 1", "a..b = 1"]
)
def test_what_is_no_toml_does_no_harm(text: str) -> None:
    lines_of(text)


KEYS = st.text(string.ascii_letters + string.digits + "-_", min_size=1, max_size=4)
SCALARS = st.one_of(
    st.integers(-5, 5).map(str),
    st.booleans().map(lambda b: str(b).lower()),
    st.text(string.printable, max_size=8).map(
        lambda s: '"' + "".join(f"\\u{ord(c):04x}" if c in '"\\' or ord(c) < 32 else c for c in s) + '"'
    ),
    st.sampled_from(["'''\na\n=\n'''", '"""\n[b]\n\\""" """', "'#'", "1.5", "2020-01-01"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: "[\n" + ",\n".join(items) + " # c\n]"),
        st.dictionaries(KEYS, inner, max_size=3).map(
            lambda d: "{" + ", ".join(f'"{k}" = {v}' for k, v in d.items()) + "}"
        ),
    ),
    max_leaves=6,
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["[{}]", "[[{}]]"]), KEYS, st.dictionaries(KEYS, VALUES, max_size=3)),
        max_size=5,
    )
)
def test_every_key_that_the_parser_sees_has_a_line(tables: list[tuple[str, str, dict[str, str]]]) -> None:
    text = ""
    for header, name, pairs in tables:
        text += header.format(f'"{name}"') + "\n" + "".join(f'"{k}" = {v}\n' for k, v in pairs.items())
    try:
        tree = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    lines = lines_of(text)
    assert sorted(map(repr, paths_in(tree))) == sorted(map(repr, lines))
    for path, line in lines.items():
        key = next((part for part in reversed(path) if isinstance(part, str)), "")
        if isinstance(path[-1], str):
            assert f'"{key}"' in text.split("\n")[line - 1]


def paths_in(value: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    here = [path] if path else []
    if isinstance(value, dict):
        return here + [p for key, inner in value.items() for p in paths_in(inner, (*path, key))]
    if isinstance(value, list):
        return here + [p for index, inner in enumerate(value) for p in paths_in(inner, (*path, index))]
    return here
