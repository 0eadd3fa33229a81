"""A sign of life while a command waits: on a terminal's standard error, and nowhere else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def waiting() -> Iterator[Callable[[str], None]]:
    """Gives what to call with the words of what is being waited for; a spinner shows the newest."""
    if not sys.stderr.isatty():
        yield lambda _text: None
        return
    from rich.console import Console

    console = Console(file=sys.stderr, highlight=False, markup=False, emoji=False)
    with console.status("asking") as status:
        yield status.update


@contextmanager
def counting(shown: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Gives what to call with the words of what is at hand, how many are done, and how many there are."""
    if not shown or not sys.stderr.isatty():
        yield lambda _words, _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("looking", total=None)
        yield lambda words, done, total: bar.update(task, description=words, completed=done, total=total)
