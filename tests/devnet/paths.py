"""Where the devnet finds what `setup` installed and what `contracts/` built."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tests.devnet.errors import DevnetError

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
ARTIFACTS = REPOSITORY / "contracts" / "artifacts"
LAUNCHER = HERE / "launcher.mjs"
GUARD = HERE / "guard.py"
CONTRACT_METADATA = ARTIFACTS / "swap_manager.json"
CONTRACT_WASM = ARTIFACTS / "swap_manager.wasm"

_SETUP_HINT = "run tests/devnet/setup"


def cache() -> Path:
    """The folder that `setup` fills: `SWAP_MINER_DEVNET_CACHE`, else `.devnet` in the repository."""
    return Path(os.environ.get("SWAP_MINER_DEVNET_CACHE") or REPOSITORY / ".devnet")


def node_modules() -> Path:
    """The folder that holds `node_modules`.

    Raises:
        DevnetError: `setup` has not been run.
    """
    folder = cache() / "node"
    if not (folder / "node_modules").is_dir():
        raise DevnetError(f"no Node packages in {folder}: {_SETUP_HINT}")
    return folder


def bitcoind() -> str:
    """The `bitcoind` to run: the one on PATH, else the one that `setup` unpacked.

    Raises:
        DevnetError: there is neither.
    """
    unpacked = cache() / "bin" / "bitcoind"
    found = shutil.which("bitcoind") or (str(unpacked) if unpacked.exists() else None)
    if found is None:
        raise DevnetError(f"no bitcoind on PATH or in {unpacked.parent}: {_SETUP_HINT}")
    return found


def runtime() -> Path:
    """The devnet's runtime, compressed or not.

    Raises:
        DevnetError: it has not been built.
    """
    for path in sorted(ARTIFACTS.glob("devnet_runtime*.wasm*")):
        if path.suffix in {".gz", ".wasm"}:
            return path
    raise DevnetError(f"no devnet_runtime.wasm.gz in {ARTIFACTS}")
