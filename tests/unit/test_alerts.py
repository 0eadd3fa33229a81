"""Alert rules fire when they should and not otherwise (by promtool); what they name is there."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
import yaml  # type: ignore[import-untyped]
from prometheus_client import generate_latest

from miner.ops.board import Board
from miner.ops.metrics import Metrics
from miner.ops.wallets import Wallets
from miner.ports import Outbox, Store
from tests.devnet import paths

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "alerts.yml"
DASHBOARD = ROOT / "config" / "grafana-dashboard.json"
RUNBOOK = (ROOT / "RUNBOOK.md").read_text(encoding="utf-8")
ALERTS: dict[str, dict[str, Any]] = {
    rule["alert"]: rule
    for group in yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    for rule in group["rules"]
}
HERE = 'job="swap-miner",instance="a"'
STANDBY = 'job="swap-miner",instance="b"'


def promtool(*arguments: object) -> str:
    """What promtool says; it must be content."""
    found = shutil.which("promtool") or str(paths.cache() / "bin" / "promtool")
    assert Path(found).exists(), "promtool is missing: make setup"
    told = subprocess.run(
        [found, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=120
    )
    assert told.returncode == 0, told.stdout + told.stderr
    return told.stdout


def named() -> set[str]:
    """Every metric that the server exposes, with the names that its samples have."""
    board = Board("x")
    store, outbox = cast(Store, None), cast(Outbox, None)
    text = generate_latest(Metrics(board, store, Wallets(board, store), outbox).registry).decode()
    found: set[str] = set()
    for name, kind in re.findall(r"^# TYPE (\S+) (\S+)$", text, re.MULTILINE):
        found |= {f"{name}_{part}" for part in ("bucket", "sum", "count")} if kind == "histogram" else {name}
    return found


@dataclass(frozen=True)
class Case:
    """One alert: series that make it fire (values a minute), when, and the labels that it then has."""

    alert: str
    series: dict[str, str]
    at: str
    labels: dict[str, str] = field(default_factory=dict)
    quiet_at: str = "0m"


JOB = {"job": "swap-miner"}
A = {**JOB, "instance": "a"}
CASES = [
    Case("SwapMinerDown", {f"up{{{HERE}}}": "1 1 0x20"}, "10m", A, "3m"),
    Case(
        "SwapMinerNotReady",
        {f"swap_miner_ready{{{HERE}}}": "1 1 0x20", f"swap_miner_ready{{{STANDBY}}}": "0x30"},
        "15m",
        JOB,
        "5m",
    ),
    Case("SwapMinerStalled", {f"swap_miner_progress_timestamp_seconds{{{HERE}}}": "60x30"}, "20m", JOB, "4m"),
    Case(
        "SwapMinerTaskSilent",
        {f'swap_miner_task_alive_timestamp_seconds{{{HERE},task="rounds"}}': "60x30"},
        "20m",
        {**A, "task": "rounds"},
        "4m",
    ),
    Case(
        "SwapMinerRestarting",
        {f"swap_miner_start_timestamp_seconds{{{HERE}}}": "0 1 2 3 4 4x30"},
        "10m",
        A,
        "2m",
    ),
    Case("SwapMinerNobodyWorks", {f"up{{{HERE}}}": "1x30"}, "10m", {"resource": "watch"}, "3m"),
    Case(
        "SwapMinerDeadlineNear",
        {
            f'swap_miner_blocks_to_deadline{{{HERE},state="SIGNED"}}': "80-5x30",
            f'swap_miner_blocks_to_deadline{{{HERE},state="MARKED"}}': "3x30",
        },
        "9m",
        {**JOB, "state": "SIGNED"},
        "5m",
    ),
    Case("SwapMinerSwapHeld", {f'swap_miner_swaps{{{HERE},state="HELD"}}': "0 0 1x20"}, "6m", JOB, "1m"),
    Case(
        "SwapMinerSwapFailed",
        {f'swap_miner_swaps{{{HERE},state="FAILED"}}': "2x70 3x100"},
        "80m",
        JOB,
        "65m",
    ),
    Case(
        "SwapMinerWithdrawing",
        {f'swap_miner_swaps{{{HERE},state="WITHDRAWING"}}': "1x60"},
        "40m",
        JOB,
        "20m",
    ),
    Case(
        "SwapMinerSlowPayouts",
        {
            f'swap_miner_time_to_paid_seconds_bucket{{{HERE},chain="tao",le="1800.0"}}': "0+1x120",
            f'swap_miner_time_to_paid_seconds_bucket{{{HERE},chain="tao",le="3600.0"}}': "0+9x120",
            f'swap_miner_time_to_paid_seconds_bucket{{{HERE},chain="tao",le="+Inf"}}': "0+9x120",
        },
        "90m",
        {**JOB, "chain": "tao"},
    ),
    Case(
        "SwapMinerAccountStopped",
        {f'swap_miner_account_stopped{{{HERE},chain="tao",account="5F"}}': "0 0 1x20"},
        "3m",
        {**JOB, "chain": "tao", "account": "5F"},
        "1m",
    ),
    Case(
        "SwapMinerPaused",
        {f'swap_miner_paused{{{HERE},what="all"}}': "1x60"},
        "20m",
        {**JOB, "what": "all"},
        "10m",
    ),
    Case(
        "SwapMinerInventoryShort",
        {
            f'swap_miner_wallet_spendable_units{{{HERE},chain="btc",account="bc1"}}': "9000000x30",
            f'swap_miner_wallet_reserved_units{{{HERE},chain="btc",account="bc1"}}': "0x9 9000001x20",
        },
        "18m",
        {**JOB, "chain": "btc", "account": "bc1"},
        "8m",
    ),
    Case(
        "SwapMinerLowBalance",
        {
            f'swap_miner_wallet_spendable_units{{{HERE},chain="tao",account="5F"}}': "99999999x30",
            f'swap_miner_wallet_reserved_units{{{HERE},chain="tao",account="5F"}}': "0x30",
            f'swap_miner_wallet_spendable_units{{{HERE},chain="btc",account="bc1"}}': "100000x30",
            f'swap_miner_wallet_reserved_units{{{HERE},chain="btc",account="bc1"}}': "0x30",
        },
        "15m",
        {**JOB, "chain": "tao", "account": "5F"},
        "5m",
    ),
    Case(
        "SwapMinerNoEndpoint",
        {
            f'swap_miner_endpoint_connected{{{HERE},endpoint="wss://one"}}': "0x30",
            f'swap_miner_endpoint_connected{{{HERE},endpoint="wss://two"}}': "1x5 0x30",
        },
        "12m",
        A,
        "5m",
    ),
    Case(
        "SwapMinerEndpointDown",
        {f'swap_miner_endpoint_connected{{{HERE},endpoint="wss://one"}}': "0x30"},
        "15m",
        {**A, "endpoint": "wss://one"},
        "5m",
    ),
    Case(
        "SwapMinerEndpointLags",
        {f'swap_miner_endpoint_lag_blocks{{{HERE},endpoint="wss://one"}}': "10x5 11x30"},
        "15m",
        {**A, "endpoint": "wss://one"},
        "5m",
    ),
    Case(
        "SwapMinerRequestsLost",
        {
            f'swap_miner_rpc_requests_total{{{HERE},chain="btc",method="m",result="lost"}}': "0+3x60",
            f'swap_miner_rpc_requests_total{{{HERE},chain="btc",method="m",result="ok"}}': "0+10x60",
            f'swap_miner_rpc_requests_total{{{HERE},chain="tao",method="m",result="lost"}}': "0+2x60",
            f'swap_miner_rpc_requests_total{{{HERE},chain="tao",method="m",result="ok"}}': "0+10x60",
        },
        "40m",
        {**JOB, "chain": "btc"},
        "5m",
    ),
    Case(
        "SwapMinerRoundsFail",
        {f'swap_miner_rounds_total{{{HERE},result="failed"}}': "0x20 0+1x30"},
        "35m",
        {**A, "result": "failed"},
        "15m",
    ),
    Case(
        "SwapMinerSweepFails",
        {f'swap_miner_sweep_runs_total{{{HERE},sweep="spends",result="failed"}}': "0+1x60"},
        "30m",
        {**A, "sweep": "spends", "result": "failed"},
        "2m",
    ),
    Case("SwapMinerStoreUnreadable", {f"swap_miner_store_readable{{{HERE}}}": "1 0x20"}, "8m", A, "2m"),
    Case(
        "SwapMinerNotificationsDead",
        {f'swap_miner_notifications{{{HERE},target="phone",standing="dead"}}': "0 0 2x30"},
        "8m",
        {**JOB, "target": "phone"},
        "1m",
    ),
    Case(
        "SwapMinerRecoveryUndelivered",
        {f"swap_miner_recovery_outbox_entries{{{HERE}}}": "1x60"},
        "20m",
        JOB,
        "10m",
    ),
]


def expected(case: Case) -> dict[str, Any]:
    rule = ALERTS[case.alert]
    return {"exp_labels": {**rule["labels"], **case.labels}, "exp_annotations": rule["annotations"]}


def test_every_alert_fires_when_it_should_and_not_before(tmp_path: Path) -> None:
    assert {case.alert for case in CASES} == set(ALERTS)
    tests = [
        {
            "interval": "1m",
            "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
            "alert_rule_test": [
                {"eval_time": case.quiet_at, "alertname": case.alert, "exp_alerts": []},
                {"eval_time": case.at, "alertname": case.alert, "exp_alerts": [expected(case)]},
            ],
        }
        for case in CASES
    ]
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "tests": tests}), encoding="utf-8")
    promtool("check", "rules", RULES)
    promtool("test", "rules", file)


def test_nothing_fires_while_all_is_well(tmp_path: Path) -> None:
    """Two nodes of one store, one of which stands by, for three hours."""
    series = {
        f"up{{{HERE}}}": "1x180",
        f"swap_miner_ready{{{HERE}}}": "1x180",
        f"swap_miner_ready{{{STANDBY}}}": "0x180",
        f"swap_miner_progress_timestamp_seconds{{{HERE}}}": "0+60x180",
        f'swap_miner_task_alive_timestamp_seconds{{{HERE},task="rounds"}}': "0+60x180",
        f"swap_miner_start_timestamp_seconds{{{HERE}}}": "5x180",
        f'swap_miner_lease_expires_in_seconds{{{HERE},resource="watch",holder="x"}}': "20x180",
        f'swap_miner_blocks_to_deadline{{{HERE},state="DISCOVERED"}}': "120x180",
        f'swap_miner_blocks_to_deadline{{{HERE},state="MARKED"}}': "5x180",
        f'swap_miner_swaps{{{HERE},state="HELD"}}': "0x180",
        f'swap_miner_swaps{{{HERE},state="FAILED"}}': "4x180",
        f'swap_miner_swaps{{{HERE},state="COMPLETED"}}': "0+1x180",
        f'swap_miner_account_stopped{{{HERE},chain="tao",account="5F"}}': "0x180",
        f'swap_miner_paused{{{HERE},what="all"}}': "0x180",
        f'swap_miner_wallet_spendable_units{{{HERE},chain="tao",account="5F"}}': "5000000000x180",
        f'swap_miner_wallet_reserved_units{{{HERE},chain="tao",account="5F"}}': "1000000000x180",
        f'swap_miner_endpoint_connected{{{HERE},endpoint="wss://one"}}': "1x180",
        f'swap_miner_endpoint_lag_blocks{{{HERE},endpoint="wss://one"}}': "1x180",
        f'swap_miner_rpc_requests_total{{{HERE},chain="tao",method="m",result="ok"}}': "0+100x180",
        f'swap_miner_rpc_requests_total{{{HERE},chain="tao",method="m",result="lost"}}': "0+1x180",
        f'swap_miner_rounds_total{{{HERE},result="ok"}}': "0+5x180",
        f"swap_miner_store_readable{{{HERE}}}": "1x180",
        f"swap_miner_recovery_outbox_entries{{{HERE}}}": "0x180",
    }
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [
            {"eval_time": at, "alertname": name, "exp_alerts": []}
            for name in ALERTS
            for at in ("30m", "170m")
        ],
    }
    file = tmp_path / "tests.yml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "tests": [test]}), encoding="utf-8")
    promtool("test", "rules", file)


@pytest.mark.parametrize("name", ALERTS)
def test_every_alert_has_its_entry_in_the_runbook(name: str) -> None:
    assert ALERTS[name]["annotations"]["runbook"] == f"RUNBOOK.md#{name.lower()}"
    assert ALERTS[name]["labels"]["severity"] in ("critical", "warning")
    entry = re.search(rf"^### {name}\n(.*?)(?=^##|\Z)", RUNBOOK, re.MULTILINE | re.DOTALL)
    assert entry is not None
    for part in ("- **Means:** ", "- **Look:** ", "- **Do:** "):
        assert entry[1].count(part) == 1, part


def test_the_runbook_has_no_entry_for_an_alert_that_is_gone() -> None:
    entries = set(re.findall(r"^### (SwapMiner\w+)$", RUNBOOK, re.MULTILINE))
    assert entries == set(ALERTS)
    for anchor in re.findall(r"\(#(swapminer\w+)\)", RUNBOOK):
        assert anchor in {name.lower() for name in ALERTS}, anchor


def names_in(text: str) -> set[str]:
    return set(re.findall(r"\bswap_miner_\w+", text))


def test_every_metric_that_is_named_exists() -> None:
    known = named()
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    assert len(expressions) > 20
    used = names_in(" ".join(expressions)) | names_in(" ".join(rule["expr"] for rule in ALERTS.values()))
    assert used <= known, used - known
    assert names_in(RUNBOOK) <= known, names_in(RUNBOOK) - known
    assert "swap_miner_swaps" in used


def test_the_dashboards_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_names_follow_the_conventions() -> None:
    """Counters end in `_total`, and no name carries a unit that is no base unit."""
    for name in named():
        assert re.fullmatch(r"swap_miner_[a-z_]+", name)
        assert not re.search(r"_(ms|millis|minutes|kb|percent)(_|$)", name), name
