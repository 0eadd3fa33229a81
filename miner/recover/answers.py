"""What is told of a request in the end, by a command and by the API: also of one that nobody answered."""

from __future__ import annotations

from miner.affairs.judge import seen_by
from miner.model import Asked, Came, OperatorRequest, Outcome, Standing


def where_to_look(asked: Asked) -> str:
    """The command that shows what came of a request."""
    return seen_by(asked.verb) if asked.verb.is_affair else f"swap-miner show {asked.swap_id}"


def outcome_of(request: OperatorRequest, wait_s: float) -> Outcome:
    """What a request came to; one without an answer within `wait_s` says how it stands."""
    if request.outcome is not None:
        return request.outcome
    if request.standing is Standing.WITHDRAWN:
        text = f"the daemon has not answered in {wait_s:g} s; the request is withdrawn and nothing was done"
        remedy = "see what keeps it: swap-miner status; then ask again"
    else:
        text = f"the daemon is at it and has not answered in {wait_s:g} s"
        remedy = f"see what came of it: {where_to_look(request.asked)}"
    return Outcome(swap_id=request.asked.swap_id, came=Came.UNKNOWN, text=text, remedy=remedy)
