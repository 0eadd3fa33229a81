"""The structured log strikes out what must not be written."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator

import pytest
import structlog

from miner.notify.log import configure


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_struck_out(form: str) -> None:
    out = io.StringIO()
    configure("debug", form, out)
    log = structlog.get_logger()
    log.info(
        "saga_moved",
        raw=b"canary",
        password="canary",
        wallet_mnemonic=["canary"],
        nested={"seed": "canary", "url": "http://u:canary@host/"},
        text="sent 0x" + "ca" * 100,
        pair=("x", b"canary"),
        deep=[[[[[[["canary"]]]]]]],
    )
    logging.getLogger("some.library").warning("connected to %s", "ws://u:canary@host")
    told = out.getvalue()
    assert "canary" not in told
    assert "caca" not in told
    assert "saga_moved" in told
    assert "some.library" in told


def test_a_json_line() -> None:
    out = io.StringIO()
    configure("info", "json", out)
    structlog.get_logger("x").info("paid", swap_id=7, amount_rao=2**70, state="PAID", ok=True, lane=None)
    structlog.get_logger("x").debug("not written")
    logging.getLogger("some.library").info("not written")
    (line,) = out.getvalue().splitlines()
    found = json.loads(line)
    assert found.pop("at").endswith("Z")
    assert found == {
        "event": "paid",
        "level": "info",
        "swap_id": 7,
        "amount_rao": str(2**70),
        "state": "PAID",
        "ok": True,
        "lane": None,
    }


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_holds_no_variables(form: str) -> None:
    out = io.StringIO()
    configure("info", form, out)
    key = "".join(["can", "ary"])
    try:
        raise ValueError(len(key))
    except ValueError:
        structlog.get_logger().exception("broke")
    assert "ValueError" in out.getvalue()
    assert "canary" not in out.getvalue()


def test_warnings_are_lines_too() -> None:
    out = io.StringIO()
    configure("info", "json", out)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(True)
        warnings.warn("old thing", stacklevel=1)
    assert "old thing" in json.loads(out.getvalue())["event"]
