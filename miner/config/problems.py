"""How a wrong setting is told: where it stands, what is wrong, what to do. Several at once, all told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from miner.errors import ConfigError

_SECRET_NAME = re.compile(
    r"pass|mnemonic|seed|secret|token|private|priv_?key|phrase|^uri$|^hotkey$|^tao_key$", re.IGNORECASE
)
_REFERENCE_NAME = re.compile(r"_file$|^keyfile$", re.IGNORECASE)
_HEX_KEY = re.compile(r"(0x)?([0-9a-fA-F]{64}|[0-9a-fA-F]{128})")
_WIF = re.compile(r"[5KLc9][1-9A-HJ-NP-Za-km-z]{50,51}")
_EXTENDED = re.compile(r"[xyztuv]prv[1-9A-HJ-NP-Za-km-z]{20,}")
_WORDS_OF_A_MNEMONIC = 10
_LONGEST_SHOWN = 80
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")

HIDDEN = "(not shown)"


class ConfigErrors(ConfigError):
    """Several settings are wrong.

    Attributes:
        problems: Each of them, in the order of the file.
    """

    def __init__(self, problems: Sequence[ConfigError]) -> None:
        first = problems[0]
        super().__init__(first.where, first.problem, first.remedy)
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.problems)


class BadValue(ValueError):
    """Raised by the validators of the model; becomes a `ConfigError` that also knows the place.

    Attributes:
        problem: What is wrong with the value; `{value}` stands for the value as it may be shown.
        remedy: What to write instead.
        key: The key below the validated one that is to blame, if one is.
    """

    def __init__(self, problem: str, remedy: str, key: tuple[str | int, ...] = ()) -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy
        self.key = key


def raise_all(problems: Sequence[ConfigError]) -> None:
    """Raise what there is to raise.

    Raises:
        ConfigError: The one problem.
        ConfigErrors: Several.
    """
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ConfigErrors(problems)


def each_problem(error: ConfigError) -> tuple[ConfigError, ...]:
    """The problems that an error carries: itself, or each of several."""
    return error.problems if isinstance(error, ConfigErrors) else (error,)


def shown(key: str, value: object) -> str:
    """A value as it may be printed: never one that is, or looks like, a secret.

    Args:
        key: The setting's own name; a name like `password` hides the value whatever it is.
        value: As written.
    """
    if _SECRET_NAME.search(key) and not _REFERENCE_NAME.search(key):
        return HIDDEN
    if isinstance(value, str):
        return HIDDEN if looks_secret(value, key) else _cut(repr(without_credentials(value)))
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list | tuple):
        return f"a list of {len(value)}"
    if isinstance(value, bool):
        return str(value).lower()
    return _cut(repr(value)) if not isinstance(value, int) or value.bit_length() < 1024 else "a huge number"


def looks_secret(text: str, key: str = "") -> bool:
    """Whether a text looks like a mnemonic, a private key or an extended private key."""
    if len(text.split()) >= _WORDS_OF_A_MNEMONIC:
        return True
    if key != "genesis" and _HEX_KEY.fullmatch(text.strip()):
        return True
    return bool(_WIF.fullmatch(text.strip()) or _EXTENDED.search(text))


def without_credentials(text: str) -> str:
    """An address on the network without user, password, path or query, any of which may be an access key."""
    if "://" not in text:
        return text
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        return text.split("://", 1)[0] + "://…"
    rest = "/…" if parts.path.strip("/") or parts.query or parts.fragment else ""
    user = "…@" if "@" in parts.netloc else ""
    return f"{parts.scheme}://{user}{host}{port}{rest}"


def dotted(path: Sequence[str | int]) -> str:
    """`("miners", 0, "hotkey")` as `miners[0].hotkey`."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            name = HIDDEN if looks_secret(part) else _cut(_CONTROL.sub("?", part)) or '""'
            out += f".{name}" if out else name
    return out


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
