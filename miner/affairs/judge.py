"""May a miner's own business be done? Pure: each condition that the contract puts, and whether it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from miner.amounts import Chain, format_amount
from miner.model import Came, Json, MinerStanding, Verb

BLOCK_S = 12
"""Block time of the contract's chain, for "about how long"."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that has to be so.

    Attributes:
        holds: Whether it is; None where this contract does not tell.
        text: What has to be so, with how it is.
        remedy: The command, or the wait, that makes it so; empty where there is none.
    """

    holds: bool | None
    text: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteFacts:
    """What a decision on a quote rests on.

    Attributes:
        text: What is to be committed.
        committed: What is committed; None where nothing is.
        problems: What would lead users astray, in words.
        means: What users would get by it, in words; empty where they could not read it.
    """

    text: str
    committed: str | None = None
    problems: tuple[str, ...] = ()
    means: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AffairFacts:
    """Everything that a decision on a miner's business rests on.

    Attributes:
        name: The operator's name for the miner.
        standing: With the contract, at the best head.
        amount: Collateral that is to move, rao.
        spendable: What could leave the hotkey now, rao.
        reserved: What is set aside on it, rao.
        fee: Most that the call's network fee may be, rao.
        under_way: An affair of this hotkey that is not final, in words; empty where there is none.
        stopped: Why nothing new is signed for the hotkey's account; empty where it may be.
        refusal: The contract's own word in a dry run; empty where it would take it, or was not asked.
        quote: For a quote.
    """

    name: str
    standing: MinerStanding
    amount: int = 0
    spendable: int = 0
    reserved: int = 0
    fee: int = 0
    under_way: str = ""
    stopped: str = ""
    refusal: str = ""
    quote: QuoteFacts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AffairRuling:
    """A decision.

    Attributes:
        came: `WOULD` where it may be done.
        text: In words.
        remedy: What to do next.
        conditions: All that were looked at.
    """

    came: Came
    text: str
    remedy: str = ""
    conditions: tuple[Condition, ...] = field(default=())

    @property
    def detail(self) -> Mapping[str, Json]:
        """The conditions as plain values."""
        return {"conditions": [{"holds": each.holds, "text": each.text} for each in self.conditions]}


def seen_by(verb: Verb) -> str:
    """The command that shows what came of it."""
    return "swap-miner quote show" if verb is Verb.QUOTE else "swap-miner collateral view"


def judge_affair(verb: Verb, facts: AffairFacts) -> AffairRuling:
    """Decide one request; total."""
    if idle := _nothing_to_do(verb, facts):
        return AffairRuling(came=Came.NOTHING, text=idle)
    found = tuple(_CONDITIONS[verb](facts))
    bad = [each for each in found if each.holds is False]
    if bad:
        text = "; ".join(each.text for each in bad)
        return AffairRuling(came=Came.REFUSED, text=text, remedy=_remedy(bad), conditions=found)
    if facts.refusal:
        text = f"the contract would refuse it: {facts.refusal}"
        return AffairRuling(came=Came.REFUSED, text=text, conditions=found)
    if verb is Verb.ACTIVATE:
        return AffairRuling(came=Came.NOTHING, text=_waits_for_votes(facts), conditions=found)
    return AffairRuling(came=Came.WOULD, text=_MAY[verb](facts), conditions=found)


def _remedy(bad: list[Condition]) -> str:
    return next((each.remedy for each in bad if each.remedy), "")


def _nothing_to_do(verb: Verb, facts: AffairFacts) -> str:
    standing = facts.standing
    if verb is Verb.DEACTIVATE and standing.active is False:
        return f"it is not active{_since(standing)}"
    if verb is Verb.ACTIVATE and standing.active:
        return "it is active already"
    if verb is Verb.QUOTE and facts.quote is not None and facts.quote.text == facts.quote.committed:
        return f"it is committed already: {facts.quote.text}"
    return ""


def _since(standing: MinerStanding) -> str:
    return f" since block {standing.deactivation_block}" if standing.deactivation_block else ""


def _tao(amount: int) -> str:
    return format_amount(amount, Chain.TAO)


def about(blocks: int) -> str:
    """A number of blocks, and about how long that is."""
    minutes = blocks * BLOCK_S // 60
    long = f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{max(minutes, 1)} min"
    return f"{blocks} block{'' if blocks == 1 else 's'} left, about {long}"


# what has to be so


def _sendable(facts: AffairFacts) -> list[Condition]:
    """What every transaction of a hotkey's own needs."""
    free = facts.spendable - facts.reserved
    needed = facts.amount + facts.fee
    found = [
        Condition(
            free >= needed,
            f"the hotkey can spend {_tao(max(free, 0))} beside the {_tao(facts.reserved)} that is set aside "
            f"for swaps, and needs {_tao(needed)}, a fee of at most {_tao(facts.fee)} included",
            f"send {_tao(max(needed - free, 0))} to {facts.standing.miner}",
        )
    ]
    if facts.under_way:
        text = f"another transaction of its own is not final yet: {facts.under_way}"
        found.append(Condition(False, text, "wait until it is: swap-miner collateral view"))
    if facts.stopped:
        clear = f"swap-miner resume --account {facts.standing.miner}"
        found.append(Condition(False, f"its account is stopped: {facts.stopped}", f"once explained: {clear}"))
    return found


def _some(facts: AffairFacts) -> Condition:
    return Condition(facts.amount > 0, f"the amount is {_tao(facts.amount)}, and has to be above zero")


def _deposit(facts: AffairFacts) -> list[Condition]:
    standing = facts.standing
    found = [_some(facts), _running(standing)]
    if standing.collateral is not None and standing.maximum:
        total = standing.collateral + facts.amount
        text = f"collateral becomes {_tao(total)}, and the contract takes at most {_tao(standing.maximum)}"
        found.append(Condition(total <= standing.maximum, text))
    return [*found, *_sendable(facts)]


def _running(standing: MinerStanding) -> Condition:
    told = None if standing.halted is None else not standing.halted
    return Condition(told, "the contract is halted" if standing.halted else "the contract is not halted")


def _withdraw(facts: AffairFacts) -> list[Condition]:
    standing = facts.standing
    found = [_some(facts), _inactive(facts), _cooled_down(standing), _unreserved(standing), _idle(standing)]
    if standing.collateral is not None:
        enough = facts.amount <= standing.collateral
        found.append(Condition(enough, f"its collateral is {_tao(standing.collateral)}"))
    return [*found, *_sendable(_without_amount(facts))]


def _without_amount(facts: AffairFacts) -> AffairFacts:
    """The collateral comes in: only the fee leaves the hotkey."""
    return AffairFacts(
        name=facts.name,
        standing=facts.standing,
        spendable=facts.spendable,
        reserved=facts.reserved,
        fee=facts.fee,
        under_way=facts.under_way,
        stopped=facts.stopped,
    )


def _inactive(facts: AffairFacts) -> Condition:
    active = facts.standing.active
    text = "it is active: users may be given to it" if active else f"it is inactive{_since(facts.standing)}"
    return Condition(
        None if active is None else not active, text, f"swap-miner deactivate --miner {facts.name} --yes"
    )


def _cooled_down(standing: MinerStanding) -> Condition:
    ends = standing.cooldown_ends
    if standing.active:
        return Condition(None, "the cooldown begins when it is deactivated")
    if ends is None:
        known = None if standing.deactivation_block is None else True
        return Condition(known, "no cooldown is waited for")
    if standing.cooldown_left == 0:
        return Condition(True, f"the cooldown is over since block {ends}")
    text = f"the cooldown ends at block {ends} ({about(standing.cooldown_left)})"
    return Condition(False, text, f"ask again at block {ends}")


def _unreserved(standing: MinerStanding) -> Condition:
    if standing.reserved_until is None:
        return Condition(None, "whether it is reserved for a user, the contract does not tell")
    until = standing.reserved_until
    if not standing.reserved:
        return Condition(True, "it is reserved for no user")
    left = about(until - standing.height)
    return Condition(
        False, f"it is reserved for a user until block {until} ({left})", f"ask again after {until}"
    )


def _idle(standing: MinerStanding) -> Condition:
    if standing.has_swap is None:
        return Condition(None, "whether it has an open swap, the contract does not tell")
    text = "it has an open swap" if standing.has_swap else "it has no open swap"
    return Condition(not standing.has_swap, text, "wait until it has ended: swap-miner swaps")


def _quote(facts: AffairFacts) -> list[Condition]:
    quote = facts.quote or QuoteFacts(text="", problems=("there is none",))
    remedy = "quote the addresses of the settings: swap-miner quote set --btc-to-tao RATE --tao-to-btc RATE"
    found = [Condition(False, problem, remedy) for problem in quote.problems]
    if not found:
        size = len(quote.text.encode())
        found.append(Condition(True, f"users can read it: {quote.text} ({size} bytes)"))
    return [*found, *_sendable(facts)]


def _activate(facts: AffairFacts) -> list[Condition]:
    standing = facts.standing
    found = [_running(standing)]
    if standing.collateral is not None and standing.minimum is not None:
        missing = standing.minimum - standing.collateral
        text = f"its collateral is {_tao(standing.collateral)}, and {_tao(standing.minimum)} is needed"
        remedy = f'swap-miner collateral deposit "{_tao(missing)}" --miner {facts.name} --yes'
        found.append(Condition(missing <= 0, text, remedy if missing > 0 else ""))
    return found


def _waits_for_votes(facts: AffairFacts) -> str:
    standing = facts.standing
    votes = "some" if standing.votes is None else str(standing.votes)
    needed = "enough" if standing.votes_needed is None else str(standing.votes_needed)
    return (
        "nothing is to be sent: validators vote a miner active, by its collateral and its quote; "
        f"{votes} of {needed} have voted"
    )


def _may_deposit(facts: AffairFacts) -> str:
    standing = facts.standing
    total = "" if standing.collateral is None else f", which makes {_tao(standing.collateral + facts.amount)}"
    return f"the contract takes {_tao(facts.amount)} of collateral{total}"


def _may_withdraw(facts: AffairFacts) -> str:
    return f"the contract pays {_tao(facts.amount)} of collateral to {facts.standing.miner}"


def _may_deactivate(facts: AffairFacts) -> str:
    timeout = facts.standing.timeout_blocks
    when = "" if timeout is None else f" after {about(2 * timeout)}"
    return (
        f"no new users are given to it; open swaps go on; collateral may leave{when}; only validators' votes "
        "activate it again"
    )


def _may_quote(facts: AffairFacts) -> str:
    return facts.quote.means if facts.quote is not None else ""


_CONDITIONS: Mapping[Verb, Callable[[AffairFacts], list[Condition]]] = {
    Verb.DEPOSIT: _deposit,
    Verb.WITHDRAW: _withdraw,
    Verb.ACTIVATE: _activate,
    Verb.DEACTIVATE: _sendable,
    Verb.QUOTE: _quote,
}
_MAY: Mapping[Verb, Callable[[AffairFacts], str]] = {
    Verb.DEPOSIT: _may_deposit,
    Verb.WITHDRAW: _may_withdraw,
    Verb.DEACTIVATE: _may_deactivate,
    Verb.QUOTE: _may_quote,
}
