"""The locks hold hashes and no addresses, and satisfy pyproject.toml."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {
    "runtime.txt": PROJECT["dependencies"],
    "dev.txt": [*PROJECT["dependencies"], *EXTRAS["dev"]],
}
PIN = re.compile(
    r"^(?P<name>[a-z0-9][a-z0-9.-]*)==(?P<version>[^\s;]+)(?P<rest>(?:.*\\\n)+?.*(?<!\\)\n)", re.M
)


def read(lock: str) -> str:
    return (ROOT / "requirements" / lock).read_text(encoding="utf-8")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_pin_has_a_hash_and_no_address(lock: str) -> None:
    text = read(lock)
    pins = PIN.findall(text)
    assert len(pins) == len(re.findall(r"^[a-z0-9]", text, re.M)), "a line that is no hashed pin"
    assert all("--hash=sha256:" in rest for _, _, rest in pins)
    assert "://" not in text


@pytest.mark.parametrize("lock", LOCKS)
def test_the_lock_satisfies_the_project(lock: str) -> None:
    pinned = {name: version for name, version, _ in PIN.findall(read(lock))}
    for requirement in map(Requirement, LOCKS[lock]):
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in requirements/{lock}: run make lock"
        assert requirement.specifier.contains(version), f"{requirement} is locked to {version}: run make lock"


def test_both_locks_agree() -> None:
    runtime, dev = (set(re.findall(r"^[a-z0-9][^\s;]+", read(lock), re.M)) for lock in LOCKS)
    assert runtime <= dev


def imported() -> Iterator[tuple[str, Path]]:
    """Top-level modules of others that the program imports, and where."""
    for path in (ROOT / "miner").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) and not node.level else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in names:
                yield name.partition(".")[0], path


def test_what_the_program_imports_is_in_the_runtime_lock() -> None:
    """What only the tests' packages bring along is missing where the program is installed."""
    brought_by = packages_distributions()
    pinned = {name for name, _, _ in PIN.findall(read("runtime.txt"))}
    for module, path in imported():
        if module != "miner" and module not in sys.stdlib_module_names:
            by = {canonicalize_name(name) for name in brought_by.get(module, [])}
            assert by & pinned, (
                f"{path.relative_to(ROOT)} imports {module}, which no package of runtime.txt has"
            )
