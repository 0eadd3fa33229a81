"""The locks hold hashes and no addresses, and satisfy pyproject.toml."""

import re
import tomllib
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
