"""Records what each artefact was built from, and says whether that still holds.

Usage: manifest.py record TARGET RUSTC_VERSION | check | compare OTHER_ARTIFACTS | sources TARGET

`artifacts/MANIFEST.json` holds, for each target, the SHA-256 of every file it is built from and of
every file that came out.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARTIFACTS = ROOT / "artifacts"
MANIFEST = ARTIFACTS / "MANIFEST.json"

COMMON = ["build", ".npmrc", "package.json", "package-lock.json", "tools/*.py"]
SOURCES = {
    "devnet_runtime": ["Cargo.toml", "Cargo.lock", "src/**/*.rs"],
    "swap_manager": ["Cargo.toml", "Cargo.lock", "src/**/*.rs", "examples/*.rs", "exports.json"],
}
OUTPUTS = {
    "devnet_runtime": ["devnet_runtime.wasm.gz"],
    "swap_manager": ["swap_manager.wasm", "swap_manager.json"],
}
# Unit tests are compiled into no artefact.
TESTS = "swap_manager/src/tests"


def sources(target: str) -> Iterator[str]:
    """The files a target is built from, by their path below this folder."""
    patterns = COMMON + [f"{target}/{pattern}" for pattern in SOURCES[target]]
    for pattern in patterns:
        found = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.glob(pattern))
        yield from (path for path in found if not path.startswith(TESTS))


def sha256(data: bytes) -> str:
    """The SHA-256 of some bytes."""
    return hashlib.sha256(data).hexdigest()


def unpacked(path: Path) -> bytes:
    """A file's bytes, decompressed if its name says that it is compressed."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def describe(path: Path) -> dict[str, Any]:
    """What the manifest says of one artefact."""
    packed, plain = path.read_bytes(), unpacked(path)
    entry: dict[str, Any] = {"sha256": sha256(packed), "bytes": len(packed)}
    if plain != packed:
        entry |= {"unpacked_sha256": sha256(plain), "unpacked_bytes": len(plain)}
    return entry


def entry_of(target: str) -> dict[str, Any]:
    """What the manifest should say of a target, its compiler apart."""
    return {
        "artifacts": {name: describe(ARTIFACTS / name) for name in OUTPUTS[target]},
        "sources": {path: sha256((ROOT / path).read_bytes()) for path in sources(target)},
    }


def load() -> dict[str, Any]:
    """The manifest as it is; empty if there is none."""
    return json.loads(MANIFEST.read_text()) if MANIFEST.exists() else {}


def record(target: str, rustc: str) -> None:
    """Writes a target's part of the manifest."""
    manifest = load() | {target: {"rustc": rustc, **entry_of(target)}}
    text = json.dumps(manifest, indent=2, sort_keys=True)
    MANIFEST.write_text(text + "\n")


def differences(target: str, recorded: dict[str, Any]) -> Iterator[str]:
    """The files whose state is not the recorded one, each with a reason."""
    missing = [name for name in OUTPUTS[target] if not (ARTIFACTS / name).exists()]
    if missing or not recorded:
        yield from (f"artifacts/{name}: missing" for name in missing)
        yield from () if recorded else (f"{target}: not in the manifest",)
        return
    actual = entry_of(target)
    for kind, prefix in (("sources", ""), ("artifacts", "artifacts/")):
        for name in sorted(actual[kind].keys() | recorded[kind].keys()):
            if actual[kind].get(name) != recorded[kind].get(name):
                yield f"{prefix}{name}: not what {target} was recorded with"


def check() -> bool:
    """Says whether every artefact is the one built from the sources here."""
    manifest = load()
    found = [line for target in SOURCES for line in differences(target, manifest.get(target, {}))]
    for line in found:
        print(line)
    print("artefacts are stale: run contracts/build" if found else "artefacts match their sources")
    return not found


def compare(other: Path) -> bool:
    """Says whether the artefacts are, decompressed, the same bytes as those in another folder."""
    same = True
    for name in (name for names in OUTPUTS.values() for name in names):
        equal = unpacked(ARTIFACTS / name) == unpacked(other / name)
        print(f"{name}: {'same bytes' if equal else 'DIFFERENT'}")
        same = same and equal
    return same


def main() -> int:
    """Runs one command; 0 means that what it asks holds."""
    match sys.argv[1:]:
        case ["record", target, rustc]:
            record(target, rustc)
            return 0
        case ["check"]:
            return 0 if check() else 1
        case ["compare", other]:
            return 0 if compare(Path(other)) else 1
        case ["sources", target]:
            print("\n".join(sources(target)))
            return 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
