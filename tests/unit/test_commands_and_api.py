"""What a command reads or changes of a running daemon, the API does too; what it does not is named here."""

from __future__ import annotations

import pytest

from miner.ops.access import Scope
from miner.ops.routes import ROUTES
from tests.unit.test_docs import commands

SWAP = "/api/v1/swaps/{swap_id}"
THE_SAME: dict[str, tuple[str, ...]] = {
    "status": ("GET /api/v1/status",),
    "swaps": ("GET /api/v1/swaps",),
    "show": (f"GET {SWAP}", f"GET {SWAP}/events"),
    "evidence": (f"GET {SWAP}/evidence",),
    "wallet": ("GET /api/v1/wallet",),
    "collateral view": ("GET /api/v1/collateral",),
    "collateral deposit": ("POST /api/v1/collateral/deposit",),
    "collateral withdraw": ("POST /api/v1/collateral/withdraw",),
    "activate": ("GET /api/v1/activation",),
    "deactivate": ("POST /api/v1/deactivate",),
    "quote show": ("GET /api/v1/quote",),
    "quote set": ("POST /api/v1/quote/set",),
    "pause": ("POST /api/v1/pause",),
    "resume": ("POST /api/v1/resume", "POST /api/v1/resume/account", "POST /api/v1/resume/code"),
    "drain": ("POST /api/v1/drain",),
    "approve": (f"POST {SWAP}/approve",),
    "retry": (f"POST {SWAP}/retry",),
    "release": (f"POST {SWAP}/release",),
    "quarantine": (f"POST {SWAP}/quarantine",),
    "adopt-payout": (f"POST {SWAP}/adopt-payout",),
    "mark": (f"POST {SWAP}/mark",),
    "rebuild": (f"POST {SWAP}/rebuild",),
    "recovery list": ("GET /api/v1/recovery", "GET /api/v1/export"),
    "recovery show": (f"GET {SWAP}/chain", f"GET {SWAP}", "GET /api/v1/recovery"),
    "recovery resolve": ("POST /api/v1/recovery/resolve",),
    "notify list": ("GET /api/v1/notify",),
    "notify dead": ("GET /api/v1/notify",),
    "notify test": ("POST /api/v1/notify/test",),
    "notify replay": ("POST /api/v1/notify/replay",),
    "check": ("POST /api/v1/validate",),
}
NOT_THE_DAEMONS = {
    "init": "writes a settings file before there is a daemon",
    "run": "is the daemon",
    "import-sent": "takes a file of the program that mined before, before the first start",
    "logs": "reads the machine's journal, whether a daemon runs or not",
    "backup": "writes a file where its user may, also where no daemon runs",
    "restore": "fills an empty state folder, of which no daemon runs",
    "store info": "looks at the database as a whole, also where no daemon can use it",
    "store copy": "needs the daemon stopped",
    "service install": "writes units, as root",
    "service uninstall": "removes units, as root",
    "completion": "prints a text",
    "version": "prints a text",
}
OF_THE_API_ALONE = {
    "GET /api/v1/events": "a feed",
}


def paths(*, scope: Scope | None = None) -> set[str]:
    return {
        f"{route.method} {route.path}"
        for route in ROUTES
        if route.path.startswith("/api/") and scope in (None, route.scope)
    }


def test_each_command_has_its_path_or_a_reason() -> None:
    known = {name for name, command in commands().items() if not hasattr(command, "commands")}
    assert known == set(THE_SAME) | (set(NOT_THE_DAEMONS) & known)
    assert not set(THE_SAME) & set(NOT_THE_DAEMONS)


def test_each_path_has_its_command() -> None:
    named = {path for each in THE_SAME.values() for path in each}
    assert paths() == named | set(OF_THE_API_ALONE)


@pytest.mark.parametrize("path", sorted(paths(scope=Scope.OPERATE)))
def test_what_changes_something_takes_a_body_and_the_operate_scope(path: str) -> None:
    (route,) = [each for each in ROUTES if f"{each.method} {each.path}" == path]
    assert route.method == "POST"
    assert route.body is not None
    if path != "POST /api/v1/validate":
        assert "actor" in route.body.model_fields, "nobody could say who asked"


def test_what_asks_the_daemon_is_a_dry_run_unless_it_says_otherwise() -> None:
    for route in ROUTES:
        fields = route.body.model_fields if route.body is not None else {}
        if route.patient and route.method == "POST":
            assert fields["dry_run"].default is True, route.path
