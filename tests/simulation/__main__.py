"""`python -m tests.simulation`: many histories, or one of them to look at."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from tests.simulation.dice import History, history
from tests.simulation.many import FIGURES, many, play
from tests.simulation.run import Outcome
from tests.simulation.shrink import load, save, shrink


def show(what: History, outcome: Outcome) -> None:
    """A readable trace."""
    print(f"seed {what.seed}: {json.dumps(what.setting)}")
    print("\n".join(outcome.trace))
    print(json.dumps({name: outcome.counts[name] for name in FIGURES}))
    for broken in outcome.broken:
        print(f"BROKEN: {broken.law}: {broken.how}")
    print(f"digest {outcome.digest}")


def smaller(what: History, laws: set[str]) -> History:
    """The history shrunk, still breaking one of these laws."""
    return shrink(what, lambda each: bool(play(each).laws & laws))


def one(what: History, args: argparse.Namespace) -> int:
    """Play one, tell of it, and shrink it where it fails."""
    outcome = play(what)
    show(what, outcome)
    if not outcome.broken:
        return 0
    if args.shrink:
        least = smaller(what, outcome.laws)
        print("\nshrunk:")
        show(least, play(least))
        for action in least.actions:
            print(json.dumps(action))
        if args.save:
            print(save(least, sorted(outcome.laws), args.save, args.why))
    return 1


def main() -> int:
    """Parse, play, tell."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first history, or of the only one")
    parser.add_argument("--histories", type=int, help="how many; without it one is played and shown")
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--json", action="store_true", help="no progress bar")
    parser.add_argument("--replay", type=Path, help="play a saved history")
    parser.add_argument("--shrink", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--save", help="name under which to keep the shrunk history as a regression")
    parser.add_argument("--why", default="", help="what it showed")
    args = parser.parse_args()
    if args.histories is None:
        return one(load(args.replay) if args.replay else history(args.seed), args)
    summary = many(args.seed, args.histories, args.jobs, args.json)
    print(json.dumps(summary), flush=True)
    if summary["failing_seeds"]:
        first = summary["failing_seeds"][0]
        print(f"look at one: python -m tests.simulation --seed {first}", file=sys.stderr)
    return 1 if summary["failing_seeds"] else 0


if __name__ == "__main__":
    sys.exit(main())
