"""Exit codes, and errors as the lines that an operator reads."""

from __future__ import annotations

from enum import IntEnum

from miner.errors import ConfigError, InvariantBroken, LeaseLost, MinerError, StoreError


class Exit(IntEnum):
    """What a command's exit code says."""

    OK = 0
    WRONG = 1
    """A check failed, a chain could not be asked, or nothing was found."""
    USAGE = 2
    """The command line or the settings are wrong; the service is not restarted."""
    STORE = 3
    """The store refused: damaged, locked, full, or of a newer program."""
    LEASE = 4
    """Another process holds the lease."""
    INTERNAL = 70
    """A mistake in this program."""


EXIT_CODES = """Exit codes: 0 fine · 1 something is wrong, or nothing was found · 2 wrong usage or settings ·
3 the store refused · 4 another process holds the lease · 70 a mistake in this program"""


def code_of(error: MinerError) -> Exit:
    """The exit code that an error ends a command with."""
    match error:
        case ConfigError():
            return Exit.USAGE
        case LeaseLost():
            return Exit.LEASE
        case StoreError():
            return Exit.STORE
        case InvariantBroken():
            return Exit.INTERNAL
    return Exit.WRONG


def lines_of(error: MinerError) -> list[str]:
    """An error as lines for standard error, one for each problem."""
    from miner.config.problems import each_problem

    problems = each_problem(error) if isinstance(error, ConfigError) else (error,)
    return [printable(f"error: {problem}") for problem in problems]


def printable(text: str) -> str:
    """Text without what a terminal would act on: much of what is shown was written by strangers."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def from_group(error: BaseException) -> BaseException:
    """The first error in a group of errors; an error that is none, itself."""
    while isinstance(error, BaseExceptionGroup):
        known = error.subgroup(MinerError)
        error = (known or error).exceptions[0]
    return error
