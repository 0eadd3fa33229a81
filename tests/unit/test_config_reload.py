"""What a running daemon takes over of changed settings: all that can be, and the rest is named."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miner.config import Settings, load, reload
from miner.config.reload import AT_START, LIVE
from tests.unit.config_files import GOOD, replaced, write_settings


def settings(folder: Path, text: str = GOOD) -> Settings:
    return load(write_settings(folder, text))


def test_the_same_settings_change_nothing(tmp_path: Path) -> None:
    found = reload(settings(tmp_path), settings(tmp_path))
    assert (found.live, found.restart) == ((), ())


def test_limits_retries_and_the_log_are_taken_over(tmp_path: Path) -> None:
    old = settings(tmp_path)
    text = replaced('max_fee = "0.01 TAO"', 'max_fee = "0.02 TAO"\nmax_per_hour = "5 TAO"')
    new = settings(tmp_path, text + "[retry]\nbase_s = 7\n[log]\nlevel = 'debug'\n")
    found = reload(old, new)
    assert set(found.live) == {"limits.tao.max_fee", "limits.tao.max_per_hour", "retry.base_s", "log.level"}
    assert (found.restart, found.settings) == ((), new)


def test_what_adapters_are_made_with_waits_for_a_restart_and_is_named_until_then(tmp_path: Path) -> None:
    old = settings(tmp_path)
    new = settings(tmp_path, replaced("[limits.tao]\n", '[limits.tao]\nmark_fee = "0.007 TAO"\n'))
    found = reload(old, new)
    assert (found.live, found.restart) == ((), ("limits.tao.mark_fee",))
    assert found.settings == old
    assert reload(found.settings, new).restart == ("limits.tao.mark_fee",)


def test_another_miner_waits_for_a_restart_beside_a_limit_that_does_not(tmp_path: Path) -> None:
    old = settings(tmp_path)
    text = replaced('name = "one"', 'name = "two"')
    new = settings(tmp_path, text.replace('max_fee = "0.01 TAO"', 'max_fee = "0.02 TAO"'))
    found = reload(old, new)
    assert (found.live, found.restart) == (("limits.tao.max_fee",), ("miners",))
    assert (found.settings.limits, found.settings.miners) == (new.limits, old.miners)


def test_a_whole_table_that_comes_or_goes_waits_for_a_restart(tmp_path: Path) -> None:
    text = GOOD.replace(GOOD[GOOD.index("[bitcoin]") : GOOD.index("[[miners]]")], "")
    new = settings(
        tmp_path, text.replace(next(line for line in text.splitlines() if "btc_address" in line), "")
    )
    found = reload(settings(tmp_path), new)
    assert "bitcoin" in found.restart
    assert not found.live


@pytest.mark.parametrize("name", [*LIVE, *AT_START])
def test_every_name_is_one_of_a_setting(name: str) -> None:
    model = Settings
    for part in name.split("."):
        field = model.model_fields[part]
        model = field.annotation  # type: ignore[assignment]


@given(fee=st.integers(1, 10**9), level=st.sampled_from(["debug", "info"]), reply=st.integers(1, 60))
def test_what_holds_afterwards_is_the_old_settings_with_what_was_taken_over(
    fee: int, level: str, reply: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("settings")
    text = replaced('max_fee = "0.01 TAO"', f'max_fee = "{fee} rao"') + f"[log]\nlevel = '{level}'\n"
    new = settings(folder, replaced("[contract]\n", f"[contract]\nrequest_timeout_s = {reply}\n", text))
    old = settings(folder)
    found = reload(old, new)
    assert found.settings.contract == old.contract
    assert (found.settings.limits, found.settings.log) == (new.limits, new.log)
    assert ("contract.request_timeout_s" in found.restart) == (reply != old.contract.request_timeout_s)


def test_targets_of_notices_come_change_and_go_without_a_restart(tmp_path: Path) -> None:
    (tmp_path / "hook-key").write_text("canary")
    (tmp_path / "hook-key").chmod(0o600)

    def told(url: str) -> str:
        lines = ('name = "ops"', 'kind = "webhook"', f'url = "{url}"', 'secret_file = "hook-key"')
        return "\n".join([GOOD, "[[notify]]", *lines, ""])

    none, one = settings(tmp_path), settings(tmp_path, told("https://one.example"))
    other = settings(tmp_path, told("https://other.example"))
    for old, new in ((none, one), (one, other), (other, none)):
        found = reload(old, new)
        assert (found.live, found.restart) == (("notify",), ())
        assert found.settings.notify == new.notify
