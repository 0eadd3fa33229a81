"""Writes a contract's metadata file, as contract clients expect it.

Usage: bundle.py WASM CARGO_TOML CARGO_LOCK RUSTC_VERSION < INK_METADATA > METADATA

Takes what ink! generates (types, storage, specification) and puts before it what the build knows:
the hash of the code, by which the chain names it, and who made it with what.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tomllib
from pathlib import Path
from typing import Any


def code_hash(wasm: bytes) -> str:
    """The hash under which the chain stores the code: BLAKE2b, 256 bits."""
    return "0x" + hashlib.blake2b(wasm, digest_size=32).hexdigest()


def locked_version(lock: dict[str, Any], package: str) -> str:
    """The version of a package in a parsed Cargo.lock."""
    versions = [p["version"] for p in lock["package"] if p["name"] == package]
    if len(versions) != 1:
        raise SystemExit(f"bundle: expected one version of {package}, found {versions}")
    return str(versions[0])


def bundle(
    ink: dict[str, Any], wasm: bytes, manifest: dict[str, Any], lock: dict[str, Any], rustc: str
) -> dict[str, Any]:
    """The whole metadata document."""
    package = manifest["package"]
    source = {
        "hash": code_hash(wasm),
        "language": f"ink! {locked_version(lock, 'ink')}",
        "compiler": f"rustc {rustc}",
    }
    contract = {
        "name": package["name"],
        "version": package["version"],
        "authors": package.get("authors", ["swap-miner contributors"]),
        "description": package["description"],
    }
    return {"source": source, "contract": contract, "image": None, **ink}


def main() -> None:
    """Reads ink!'s metadata from standard input and writes the document to standard output."""
    wasm, manifest, lock, rustc = sys.argv[1:]
    document = bundle(
        json.load(sys.stdin),
        Path(wasm).read_bytes(),
        tomllib.loads(Path(manifest).read_text()),
        tomllib.loads(Path(lock).read_text()),
        rustc,
    )
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
