"""Fuzzes one decoder until it breaks or the runs are over: `python -m tests.fuzz TARGET [--runs N]`.

The input that broke it is printed, in hex, and written to the folder named by `--keep`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["miner"], enable_loader_override=False):
    from tests.fuzz.targets import targets

LONGEST = 4096


def main() -> None:
    """Fuzz; the process ends with 0 when nothing was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz a decoder.")
    parser.add_argument("target", choices=sorted(targets()))
    parser.add_argument("--runs", type=int, default=100_000, help="inputs to try (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--keep", type=Path, default=Path(tempfile.gettempdir()), help="where to write findings"
    )
    args = parser.parse_args()
    target = targets()[args.target]

    def one(data: bytes) -> None:
        try:
            target.run(data)
        except BaseException:
            print(f"fuzz: {args.target} breaks on {data.hex()}", file=sys.stderr)
            raise

    with tempfile.TemporaryDirectory() as corpus:
        for number, seed in enumerate(target.seeds()):
            Path(corpus, str(number)).write_bytes(seed)
            one(seed)
        options = [
            f"-runs={args.runs}",
            f"-seed={args.seed}",
            f"-max_len={LONGEST}",
            f"-artifact_prefix={args.keep}/",
        ]
        atheris.Setup([sys.argv[0], *options, "-print_final_stats=1", corpus], one)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
