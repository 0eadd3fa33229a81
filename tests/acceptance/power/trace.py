"""A process's writes and syncs below a folder, in order, as strace saw them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "open,openat,creat,write,pwrite64,writev,pwritev,ftruncate,truncate,fallocate,fsync,fdatasync,sync,syncfs,"
    "sync_file_range,msync,link,linkat,symlink,symlinkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,"
    "rmdir,copy_file_range,sendfile,splice"
)
_CALL = re.compile(r"^(\w+)\((.*)\)\s+= (-?\d+)")
_FD = re.compile(r"^(?:AT_FDCWD|\d+)<([^>]*)>$")


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that changed something below the folder, or made it durable.

    Attributes:
        name: `create`, `write`, `truncate`, `sync`, `link`, `rename`, `unlink` or `mkdir`.
        path: What it was done to.
        other: Where to, for `link` and `rename`.
        offset: First byte of a `write`; -1 for the end of the file. New size for `truncate`.
        data: What was written.
    """

    name: str
    path: str
    other: str = ""
    offset: int = 0
    data: bytes = b""


def record(command: Sequence[str], folder: Path, log: Path) -> list[Call]:
    """Run a command to its end under strace.

    Raises:
        AssertionError: It failed, strace is missing or may not trace, or a call is one that this does not
            understand.
    """
    strace = ["strace", "-f", "-y", "-qq", "-xx", "-s", "100000000", "-e", f"trace={CALLS}", "-o", str(log)]
    done = subprocess.run([*strace, *command], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    with log.open(encoding="ascii", errors="replace") as lines:
        return list(calls(lines, folder))


def calls(lines: Iterator[str] | Sequence[str], folder: Path) -> Iterator[Call]:
    """The calls of a trace that matter below a folder."""
    for line in _whole(lines):
        found = _CALL.match(line)
        if found is None or int(found[3]) < 0:
            continue
        call = _call(found[1], _arguments(found[2]), int(found[3]))
        if call is not None and (_below(call.path, folder) or _below(call.other, folder)):
            assert call.name in KNOWN, f"not understood: {line[:300]}"
            yield call


KNOWN = frozenset({"create", "write", "truncate", "sync", "link", "rename", "unlink", "mkdir"})


def _below(path: str, folder: Path) -> bool:
    return path == str(folder) or path.startswith(f"{folder}/")


def _whole(lines: Iterator[str] | Sequence[str]) -> Iterator[str]:
    """Calls that another thread's call cut in two are put together where they ended."""
    begun: dict[str, str] = {}
    for line in lines:
        thread, _, rest = line.rstrip("\n").partition(" ")
        rest = rest.lstrip()
        if rest.endswith("<unfinished ...>"):
            begun[thread] = rest.removesuffix("<unfinished ...>").rstrip()
        elif rest.startswith("<..."):
            yield begun.pop(thread) + rest.partition("resumed>")[2]
        else:
            yield rest


def _arguments(text: str) -> list[str]:
    """The arguments: `-xx` writes every string in hex, so that no comma or bracket is left inside one."""
    return re.findall(r'"[^"]*"(?:\.\.\.)?|[^,\s][^,]*', text)


def _text(argument: str) -> bytes:
    assert not argument.endswith("..."), "strace cut a string short"
    return bytes.fromhex(argument.strip('"').replace("\\x", ""))


def _of_fd(argument: str) -> str:
    found = _FD.match(argument)
    if found is None:
        return ""
    return _text(found[1]).decode() if found[1].startswith("\\x") else found[1]


def _at(folder: str, name: str) -> str:
    return str(Path(_of_fd(folder) or "/") / _text(name).decode())


def _call(name: str, args: list[str], result: int) -> Call | None:
    if name in {"open", "creat"}:
        return _opened(_text(args[0]).decode(), ",".join(args[1:]))
    if name == "openat":
        return _opened(_at(args[0], args[1]), ",".join(args[2:]))
    if name in {"link", "rename"}:
        return Call(name, _text(args[0]).decode(), _text(args[1]).decode())
    if name in {"linkat", "renameat", "renameat2"}:
        return Call(name[:4] if name == "linkat" else "rename", _at(args[0], args[1]), _at(args[2], args[3]))
    if name in {"unlink", "mkdir", "rmdir"}:
        return Call(name, _text(args[0]).decode())
    if name in {"unlinkat", "mkdirat"}:
        return Call(name.removesuffix("at"), _at(args[0], args[1]))
    return _with_descriptor(name, args, result)


def _opened(path: str, flags: str) -> Call | None:
    if "O_TRUNC" in flags:
        return Call("open with O_TRUNC", path)
    return Call("create", path) if "O_CREAT" in flags else None


def _with_descriptor(name: str, args: list[str], result: int) -> Call:
    path = _of_fd(args[0]) if args else ""
    if name in {"fsync", "fdatasync"}:
        return Call("sync", path)
    if name == "ftruncate":
        return Call("truncate", path, offset=int(args[1]))
    if name == "write":
        return Call("write", path, offset=-1, data=_text(args[1])[:result])
    if name == "pwrite64":
        return Call("write", path, offset=int(args[3]), data=_text(args[1])[:result])
    return Call(name, path)
