"""Imports point down only. Reads the sources of miner/ without running them.

A module of `miner` belongs to one layer, by its top-level name (`miner.store.rows` belongs to `store`).
It imports what `MAY_IMPORT` grants its layer and nothing else; see ARCHITECTURE.md for why.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

import miner

LAYERS = {
    "core": {"errors", "amounts", "model", "saga", "verdict"},
    "ports": {"ports", "boundary", "durable", "tally"},
    "adapter": {"store", "chains", "contract", "notify"},
    "service": {
        "watch",
        "verify",
        "settle",
        "sweep",
        "lease",
        "inventory",
        "supervise",
        "recover",
        "rebuild",
        "affairs",
        "alert",
    },
    "config": {"config"},
    "ops": {"ops"},
    "app": {"app"},
    "cli": {"cli", "__main__"},
    "package": {"__init__"},
}
LAYER_OF = {module: layer for layer, modules in LAYERS.items() for module in modules}

# A module may always import its own parts; an adapter is not granted the other adapters.
MAY_IMPORT = {
    "core": {"core"},
    "ports": {"core", "ports"},
    "adapter": {"core", "ports"},
    "service": {"core", "ports", "service"},
    "config": {"core", "ports"},
    "ops": {"core", "ports", "service", "config"},
    "app": {"core", "ports", "service", "config", "ops", "adapter"},
    "cli": {"core", "ports", "service", "config", "ops", "app", "cli"},
    "package": set[str](),
}

# What a pure module may take from outside; `datetime` for values, never for the clock.
PURE = frozenset(
    "__future__ abc base64 bisect collections copy dataclasses datetime decimal enum fractions functools "
    "hashlib heapq itertools json math operator re string struct types typing typing_extensions uuid".split()
)
PURE_FORBIDS = frozenset({"open", "print", "input", "breakpoint", "exec", "eval", "__import__"})
CLOCK = frozenset({"now", "utcnow", "today", "uuid1", "uuid4"})

# What ports and services leave to the adapters.
ADAPTERS_ONLY = frozenset(
    "aiohttp aiosqlite alembic bittensor bittensor_core embit http httpx psycopg requests scalecodec socket "
    "sqlalchemy sqlite3 ssl subprocess substrateinterface urllib websocket websockets".split()
)


@dataclass(frozen=True, order=True)
class Import:
    """One import statement: where it is and what it names."""

    path: str
    line: int
    module: str  # top-level module of miner that imports
    target: str  # dotted, absolute

    @property
    def top(self) -> str:
        """The first part of the target."""
        return self.target.split(".", 1)[0]

    @property
    def target_module(self) -> str:
        """For a target within miner: its top-level module."""
        return self.target.split(".")[1] if "." in self.target else "__init__"

    def breaks(self, rule: str) -> str:
        return f"{self.path}:{self.line}: {self.module} imports {self.target}: {rule}"


def module_of(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0].removesuffix(".py")


def imports_of(path: Path, root: Path) -> Iterator[Import]:
    """Every import in the file, also inside functions and under TYPE_CHECKING."""
    shown, module = str(path.relative_to(root.parent)), module_of(path, root)
    package = ["miner", *path.relative_to(root).parent.parts]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(shown, node.lineno, module, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*base, *([node.module] if node.module else [])])
            if source == "miner":  # from miner import saga
                for alias in node.names:
                    yield Import(shown, node.lineno, module, f"miner.{alias.name}")
            else:
                yield Import(shown, node.lineno, module, source)


def check_import(found: Import) -> str | None:
    layer = LAYER_OF[found.module]
    if found.top == "miner":
        return check_inside(found, layer)
    if layer == "core" and found.top not in PURE:
        return found.breaks("the core is pure: of the standard library only what PURE lists")
    if layer in {"ports", "service"} and found.top in ADAPTERS_ONLY:
        return found.breaks(f"a {layer} module leaves {found.top} to the adapters")
    return None


def check_inside(found: Import, layer: str) -> str | None:
    target = found.target_module
    if target == found.module:
        return None
    if target == "__init__":
        return None if layer == "cli" else found.breaks("name a module of miner, not the package")
    if target not in LAYER_OF:
        return found.breaks(f"{target} is in no layer")
    if LAYER_OF[target] not in MAY_IMPORT[layer]:
        allowed = ", ".join(sorted(MAY_IMPORT[layer])) or "nothing"
        return found.breaks(f"{layer} may not import {LAYER_OF[target]} (may: {allowed})")
    return None


def check_calls(path: Path, root: Path) -> Iterator[str]:
    """In the core: no input, no output, no clock."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.relative_to(root.parent)}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{where}: the core is pure: no coroutines"
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in PURE_FORBIDS:
            yield f"{where}: the core is pure: no {node.func.id}()"
        if isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK:
            yield f"{where}: the core is pure: no {node.func.attr}(); times and ids are arguments"


def check_cycles(imports: list[Import]) -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for found in imports:
        if found.top == "miner" and found.target_module not in {found.module, "__init__"}:
            graph.setdefault(found.module, set()).add(found.target_module)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        ring = list(reversed(error.args[1]))
        edges = set(pairwise(ring))
        places = [f"{i.path}:{i.line}" for i in sorted(imports) if (i.module, i.target_module) in edges]
        yield f"{' → '.join(ring)}: an import cycle ({', '.join(places)})"


def violations(root: Path) -> list[str]:
    """Every breach of the layering under `root`, one line each: file, line, rule."""
    found: list[str] = []
    imports: list[Import] = []
    for path in sorted(root.rglob("*.py")):
        module = module_of(path, root)
        if module not in LAYER_OF:
            found.append(f"{path.relative_to(root.parent)}:1: {module} is in no layer: add it to LAYERS")
            continue
        imports += imports_of(path, root)
        if LAYER_OF[module] == "core":
            found += check_calls(path, root)
    found += filter(None, map(check_import, imports))
    return found + list(check_cycles(imports))


def test_imports_point_down() -> None:
    breaches = violations(Path(miner.__file__).parent)
    if breaches:
        pytest.fail("layering:\n  " + "\n  ".join(breaches), pytrace=False)


@pytest.mark.parametrize(
    ("file", "source", "expected"),
    [
        ("saga.py", "\nimport asyncio", "miner/saga.py:2: saga imports asyncio: the core is pure"),
        ("model/swap.py", "from pathlib import Path", "miner/model/swap.py:1: model imports pathlib"),
        ("verdict.py", "from miner.ports import Store", "core may not import ports"),
        ("errors.py", "x = open('f')", "miner/errors.py:1: the core is pure: no open()"),
        ("model.py", "x = datetime.now(UTC)", "no now(); times and ids are arguments"),
        ("saga.py", "async def f(): ...", "no coroutines"),
        ("settle.py", "from miner.store import rows", "service may not import adapter"),
        ("settle.py", "from miner import chains", "settle imports miner.chains: service may not"),
        ("settle.py", "def f():\n    import miner.store.rows", "miner/settle.py:2: settle imports"),
        ("watch/events.py", "from ..store import rows", "watch imports miner.store: service may not"),
        ("lease.py", "import sqlalchemy.orm", "leaves sqlalchemy to the adapters"),
        ("ports.py", "import aiohttp", "leaves aiohttp to the adapters"),
        ("contract/calls.py", "from miner.chains import substrate", "adapter may not import adapter"),
        ("store/rows.py", "from miner.config import Config", "adapter may not import config"),
        ("ops.py", "from miner.app import wire", "ops may not import app"),
        ("cli.py", "from miner.store import rows", "cli may not import adapter"),
        ("settle.py", "import miner", "name a module of miner"),
        ("settle.py", "from miner import extras", "extras is in no layer"),
        ("extras.py", "", "miner/extras.py:1: extras is in no layer: add it to LAYERS"),
    ],
)
def test_a_breach_is_named(tmp_path: Path, file: str, source: str, expected: str) -> None:
    write(tmp_path, {file: source})
    breaches = violations(tmp_path / "miner")
    assert any(expected in breach for breach in breaches), breaches


def test_a_cycle_is_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "settle.py": "from miner import sweep",
            "sweep.py": "import miner.lease",
            "lease.py": "import miner.settle",
        },
    )
    (breach,) = violations(tmp_path / "miner")
    assert "an import cycle" in breach
    for place in ("miner/settle.py:1", "miner/sweep.py:1", "miner/lease.py:1"):
        assert place in breach


def test_downward_imports_pass(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            "model.py": "from dataclasses import dataclass\nfrom miner.amounts import Rao",
            "ports.py": "from miner.model import Swap",
            "store/rows.py": "import sqlalchemy\nfrom miner.store.tables import sagas\nfrom . import tables",
            "settle.py": "import asyncio\nfrom miner import ports, sweep",
            "app.py": "from miner import chains, config, settle, store",
            "cli.py": "import miner\nfrom miner import app",
        },
    )
    assert violations(tmp_path / "miner") == []


def test_the_table_is_whole() -> None:
    assert MAY_IMPORT.keys() == LAYERS.keys()
    assert len(LAYER_OF) == sum(map(len, LAYERS.values())), "a module is in two layers"
    assert PURE - {"typing_extensions"} <= sys.stdlib_module_names


def write(folder: Path, files: dict[str, str]) -> None:
    for name, source in files.items():
        path = folder / "miner" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
