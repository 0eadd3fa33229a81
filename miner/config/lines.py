"""On which line of a TOML file a key stands: `tomllib` gives the values only.

The scanner reads text that `tomllib` has accepted; of anything else it says what it saw up to there.
"""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Mapping, Sequence

Path = tuple[str | int, ...]

_BLANK = " \t\r\n"
_ENDS_SCALAR = ",]}#\n"


def line_of(toml_text: str, key_path: Sequence[str | int]) -> int | None:
    """The line on which a key stands, counted from 1.

    Args:
        toml_text: The whole file.
        key_path: Keys and indices: `("miners", 0, "hotkey", "keyfile")`.

    Returns:
        The line of the key; of its nearest parent where the key itself is not in the file; None when not
        even a parent is.
    """
    return nearest(lines_of(toml_text), key_path)


def nearest(lines: Mapping[Path, int], key_path: Sequence[str | int]) -> int | None:
    """As `line_of`, from what `lines_of` gave."""
    path = tuple(key_path)
    while path:
        if path in lines:
            return lines[path]
        path = path[:-1]
    return None


def lines_of(toml_text: str) -> dict[Path, int]:
    """Line by key, for every key, table, list item and inline table of the file."""
    scanner = _Scanner(toml_text.replace("\r\n", "\n"))
    with contextlib.suppress(IndexError, ValueError, RecursionError):  # not TOML: what was seen so far
        scanner.document()
    return scanner.lines


class _Scanner:
    """One pass over the text; records the line of each key it meets."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[Path, int] = {}
        self.tables: dict[Path, int] = {}  # arrays of tables: how many items so far

    def document(self) -> None:
        prefix: Path = ()
        while self.skip_blank():
            if self.text.startswith("[[", self.at):
                prefix = self.array_header()
            elif self.text[self.at] == "[":
                prefix = self.table_header()
            else:
                self.pair(prefix)

    def table_header(self) -> Path:
        line = self.line
        self.step(1)
        path = self.resolve(self.key())
        self.step(1)  # ]
        self.note(path, line)
        return path

    def array_header(self) -> Path:
        line = self.line
        self.step(2)
        keys = self.key()
        self.step(2)  # ]]
        path = (*self.resolve(keys[:-1]), keys[-1])
        index = self.tables.get(path, 0)
        self.tables[path] = index + 1
        self.note(path, line)
        self.note((*path, index), line)
        return (*path, index)

    def resolve(self, keys: Sequence[str]) -> Path:
        """A header's keys as a path: below an array of tables they mean its newest item."""
        path: Path = ()
        for key in keys:
            path = (*path, key)
            if path in self.tables:
                path = (*path, self.tables[path] - 1)
        return path

    def pair(self, prefix: Path) -> None:
        line, path = self.line, prefix
        for key in self.key():
            path = (*path, key)
            self.note(path, line)
        self.skip_blank()
        if self.text[self.at] != "=":
            raise ValueError("no equals sign")
        self.step(1)
        self.skip_blank()
        self.value(path)

    def key(self) -> list[str]:
        """A key, dotted or not; the place after it."""
        keys: list[str] = []
        while True:
            self.skip_blank()
            keys.append(self.key_part())
            self.skip_blank()
            if self.text[self.at] != ".":
                return keys
            self.step(1)

    def key_part(self) -> str:
        if self.text[self.at] in "\"'":
            start = self.at
            self.string()
            return str(tomllib.loads("k = " + self.text[start : self.at])["k"])
        start = self.at
        while self.text[self.at] not in " \t\r\n.=]":
            self.step(1)
        if self.at == start:
            raise ValueError("no key")
        return self.text[start : self.at]

    def value(self, path: Path) -> None:
        mark = self.text[self.at]
        if mark in "\"'":
            self.string()
        elif mark == "[":
            self.array(path)
        elif mark == "{":
            self.inline_table(path)
        else:
            while self.at < len(self.text) and self.text[self.at] not in _ENDS_SCALAR:
                self.step(1)

    def array(self, path: Path) -> None:
        self.step(1)
        index = 0
        while self.skip_blank() and self.text[self.at] != "]":
            if self.text[self.at] == ",":
                self.step(1)
                continue
            self.note((*path, index), self.line)
            self.value((*path, index))
            index += 1
        self.step(1)

    def inline_table(self, path: Path) -> None:
        self.step(1)
        while self.skip_blank() and self.text[self.at] != "}":
            if self.text[self.at] == ",":
                self.step(1)
                continue
            self.pair(path)
        self.step(1)

    def string(self) -> None:
        quote = self.text[self.at]
        if self.text.startswith(quote * 3, self.at):
            self.long_string(quote)
            return
        self.step(1)
        while self.text[self.at] != quote:
            self.step(2 if quote == '"' and self.text[self.at] == "\\" else 1)
        self.step(1)

    def long_string(self, quote: str) -> None:
        self.step(3)
        while not self.text.startswith(quote * 3, self.at):
            if self.at >= len(self.text):
                raise ValueError("no end of string")
            self.step(2 if quote == '"' and self.text[self.at] == "\\" else 1)
        self.step(3)
        while self.text.startswith(quote, self.at):  # up to two quotes may stand before the closing three
            self.step(1)

    def skip_blank(self) -> bool:
        """Go to the next thing that is neither blank nor comment; whether there is one."""
        while self.at < len(self.text):
            mark = self.text[self.at]
            if mark == "#":
                while self.at < len(self.text) and self.text[self.at] != "\n":
                    self.at += 1
            elif mark in _BLANK:
                self.step(1)
            else:
                return True
        return False

    def step(self, count: int) -> None:
        self.line += self.text.count("\n", self.at, self.at + count)
        self.at += count

    def note(self, path: Path, line: int) -> None:
        self.lines.setdefault(path, line)
