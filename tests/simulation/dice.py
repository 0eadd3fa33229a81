"""From a seed to a history: its setting and its list of actions. Nothing is executed here.

Swarm testing: each history draws which kinds of faults there are at all and how often, so that rare
combinations come about, and some histories are calm.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import Any

Action = dict[str, Any]
"""`do` names it; the rest are its arguments, plain JSON values. Picks are taken modulo what there is."""

CHAINS = ("tao", "btc")
TAO_READS = ("facts", "facts", "facts", "facts",
             "swaps", "swaps", "swaps", "next_swap_id", "terms", "code_hash", "try_mark",
             "verify", "still_good",
             "prepare", "locate", "nonce", "hash_at", "outcome", "spendable", "resign", "filler")  # fmt: skip
BTC_READS = ("verify", "still_good", "prepare", "locate", "unexplained", "spendable", "fee", "baseline",
             "resign", "cancel")  # fmt: skip
WRITES = ("take", "sight", "ingest", "acquire", "heartbeat", "take_sagas", "account", "stop_account",
          "set_first_unseen_id", "recovery_written", "pin", "")  # fmt: skip
WORDS = ("stale", "future", "temporarily_banned", "bad_proof", "priority_too_low", "missing_inputs",
         "insufficient_fee", "already_known")  # fmt: skip


@dataclass(frozen=True, slots=True)
class History:
    """What will happen.

    Attributes:
        seed: It comes from; 0 for a written one.
        setting: What is so from the beginning.
        actions: What happens, in order.
    """

    seed: int
    setting: dict[str, Any]
    actions: list[Action] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"seed": self.seed, "setting": self.setting, "actions": self.actions}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> History:
        """From plain values."""
        return cls(data["seed"], data["setting"], data["actions"])


def history(seed: int, kinds: Collection[str] = ()) -> History:
    """The history of a seed.

    Args:
        seed: Any integer.
        kinds: Of faults that it is to have; drawn where none is named.
    """
    dice = random.Random(f"history {seed}")
    setting = _setting(dice)
    setting["calm"] = setting["calm"] and not kinds
    return History(seed, setting, list(_actions(dice, setting, kinds)))


def _setting(dice: random.Random) -> dict[str, Any]:
    calm = dice.random() < 0.08
    slow_btc = dice.random() < 0.06
    return {
        "calm": calm,
        "miners": dice.choice((1, 1, 2, 3)),
        "lag": dice.choice((1, 2, 2, 3)),
        "timeout": dice.randint(118, 130) if slow_btc else dice.choice((22, 26, 32, 45)),
        "btc_margin": 103 if slow_btc else 9,
        "btc_every": dice.choice((2, 3, 4)),
        "coins": dice.choice((3, 6, 8)) if not calm else 8,
        "confirm_after": dice.choice((1, 2, 2, 4)),
        "timeout_after": dice.choice((0, 0, 1, 3)),
        "absent_until": 0 if calm or dice.random() < 0.85 else dice.randint(20, 60),
        "tells_outcomes": dice.random() < 0.5,
        "lists_active": dice.random() < 0.5,
        "strict_marks": not calm and dice.random() < 0.1,
    }


def _actions(dice: random.Random, setting: dict[str, Any], wanted: Collection[str]) -> Iterator[Action]:
    long = dice.random() < 0.04
    blocks = dice.randint(50, 90) if long else dice.randint(10, 26)
    swaps = dice.randint(1, 14 if long else 6)
    swaps = min(swaps, 4) if setting["calm"] else swaps
    arrivals = sorted(dice.randint(0, max(blocks * 2 // 3, 1)) for _ in range(swaps))
    density = dice.choice((0.08, 0.2, 0.45))
    kinds = [] if setting["calm"] else [k for k in FAULTS if dice.random() < density * OFTEN.get(k, 1)]
    kinds = sorted(wanted) or kinds
    rate = dice.choice((0.08, 0.2, 0.4))
    tricky = 0.0 if setting["calm"] else dice.choice((0.0, 0.15, 0.4))
    for at in range(blocks):
        for _ in range(arrivals.count(at)):
            yield _arrival(dice, tricky)
        while kinds and dice.random() < rate:
            yield from FAULTS[dice.choice(kinds)](dice)
        yield {"do": "block"}


def _arrival(dice: random.Random, tricky: float) -> Action:
    kind = "good"
    if dice.random() < tricky:
        kind = dice.choice(("early", "early", "twin", "twin", "under", "none", "stranger", "reused", "terms"))
    sat = dice.choice((300_000, 1_000_000, 2_500_000))
    return {"do": "open", "dest": dice.choice(CHAINS), "miner": dice.randint(0, 2), "sat": sat, "kind": kind}


# faults: each gives one action, or a few that belong together


def _one(do: str, **draw: Callable[[random.Random], Any]) -> Callable[[random.Random], Iterator[Action]]:
    def draw_it(dice: random.Random) -> Iterator[Action]:
        yield {"do": do, **{name: of(dice) for name, of in draw.items()}}

    return draw_it


def _among(*values: Any) -> Callable[[random.Random], Any]:
    return lambda dice: dice.choice(values)


def _between(low: int, high: int) -> Callable[[random.Random], int]:
    return lambda dice: dice.randint(low, high)


def _fails(dice: random.Random) -> Iterator[Action]:
    chain = dice.choice(CHAINS)
    name = dice.choice(TAO_READS if chain == "tao" else BTC_READS)
    yield {"do": "fail", "chain": chain, "name": name, "count": dice.randint(1, 4)}


def _trap(what: str, *kinds: str) -> Callable[[random.Random], Iterator[Action]]:
    def draw_it(dice: random.Random) -> Iterator[Action]:
        kind = dice.choice(kinds)
        name = dice.choice(WRITES) if kind in ("write", "written") else ""
        name = "take" if name and dice.random() < 0.5 else name
        skip = dice.randint(0, 3) if name or kind in ("send", "sent") else dice.randint(0, 25)
        away = dice.randint(1, 5)
        yield {"do": "trap", "kind": kind, "name": name, "skip": skip, "what": what, "blocks": away}

    return draw_it


def _unheard(dice: random.Random) -> Iterator[Action]:
    """What is sent does not arrive until deadlines have passed."""
    yield {"do": "lose_send", "chain": dice.choice(CHAINS), "count": 500}
    yield from [{"do": "block"}] * dice.randint(25, 50)


_pick, _few, _chain = _between(0, 7), _between(1, 6), _among(*CHAINS)

FAULTS: dict[str, Callable[[random.Random], Iterator[Action]]] = {
    "crash": _trap("crash", "write", "written", "written", "send", "sent", "sent", "call", "read"),
    "kill": _one("kill", blocks=_between(0, 6)),
    "restart": _one("restart", blocks=_between(0, 2)),
    "lost_commit": _trap("lost", "written"),
    "stop": _trap("stop", "write", "written"),
    "second": _one("second"),
    "down": _one("down", chain=_chain, blocks=_few),
    "long_down": _one("down", chain=_chain, blocks=_between(8, 20)),
    "flaky": _one("flaky", chain=_chain, every=_between(2, 9), blocks=_few),
    "fail": _fails,
    "lost_reply": _one("lose_reply", chain=_chain, count=_between(1, 3)),
    "lost_send": _one("lose_send", chain=_chain, count=_among(1, 2, 3, 20)),
    "unheard": _unheard,
    "pool_word": _one("refuse", chain=_chain, word=_among(*WORDS), blocks=_few),
    "stuck": _one("stuck", blocks=_between(1, 12)),
    "withhold": _one("withhold", what=_among("all", "payouts", "marks", "btc"), blocks=_between(1, 18)),
    "evict": _one("evict", chain=_chain, pick=_pick),
    "fees": _one("spike", rate=_among(20, 80, 400), blocks=_between(2, 10)),
    "fork_tao": _one("fork", chain=_among("tao"), depth=_between(1, 3), resubmit=_among(True, True, False)),
    "fork_btc": _one("fork", chain=_among("btc"), depth=_between(1, 5), resubmit=_among(True, True, False)),
    "violation": _one("violate", depth=_between(1, 4), resubmit=_among(True, False)),
    "stall": _one("stall", blocks=_between(3, 14)),
    "rival": _one("rival", pick=_pick, pays=_among("user", "nobody", "nobody", "other")),
    "rival_anchor": _one("rival_anchor", pick=_pick, pays=_among("user", "nobody", "other")),
    "bump": _one("bump", pick=_pick),
    "pause": _one("pause", what=_among("all", "tao", "btc"), blocks=_between(1, 8)),
    "clear": _one("clear"),
    "import": _one("import", pick=_pick, true=_among(True, False)),
    "code": _one("code", blocks=_between(1, 8)),
    "clock": _one("clock", ms=_among(-7_200_000, -60_000, -5_000, 5_000, 40_000, 120_000, 3_600_000)),
    "disk": _one("full", names=_among("*", "*", "take", "sight", "ingest", "heartbeat"), blocks=_few),
    "backup": _one("backup"),
    "restore": _one("restore"),
    "drain": _one(
        "drain",
        miner=_between(0, 2),
        part=_among("most", "all", "hotkey", "hotkey_all"),
        blocks=_between(2, 9),
    ),
    "inactive": _one("inactive", miner=_between(0, 2), blocks=_between(2, 10)),
    "other_mark": _one("other_mark", pick=_pick),
}
"""By kind; a swarm's history has some of them."""
OFTEN = {"crash": 2, "withhold": 2, "lost_reply": 2, "flaky": 2, "fail": 2, "stop": 2, "fork_tao": 1.5,
         "long_down": 1.5, "pool_word": 1.5, "evict": 1.5, "restore": 0.5, "violation": 0.5,
         "unheard": 0.4}  # fmt: skip
"""How much more often than others a kind is there: what meets the laws' boundaries most."""
