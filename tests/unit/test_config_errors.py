"""Every wrong setting is told with file, line, key, value and remedy; all of them at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from miner.config import ConfigErrors, each_problem, load, read
from miner.config.template import example as example_text
from miner.errors import ConfigError
from tests.unit.config_files import ALICE, BOB, GOOD, MAINNET, line_with, replaced, write_settings

MNEMONIC = "bottom drive obey lake curtain smoke basket hold race lonely fit walk"
HEX_KEY = "0xe5be9a5092b81bca64be81d212e7f2f9eba183bb7a90954f7b76361f6edb5c0a"


def problems_of(
    text: str, path: Path = Path("swap-miner.toml"), files: bool = False
) -> tuple[ConfigError, ...]:
    with pytest.raises(ConfigError) as caught:
        read(text, path, files)
    return each_problem(caught.value)


# what to replace, with what; a text on the line to blame; the key; what is said of the value; the remedy
MATRIX = [
    ("[store]", "[stroe]", "[stroe]", "stroe", "there is no such setting", "Did you mean store?"),
    (
        'path = "state"',
        'paht = "state"',
        "paht",
        "store.paht",
        "there is no such setting",
        "Did you mean path?",
    ),
    (
        'name = "one"',
        'name = "one"\nzzz = 1',
        "zzz",
        "miners[0].zzz",
        "no such setting",
        "there are: name, hotkey",
    ),
    ('name = "one"', "name = 1", "name = 1", "miners[0].name", "1 is no name", "Use letters"),
    ('name = "one"', 'name = "a b"', "a b", "miners[0].name", "'a b' is no name", "Use letters"),
    ('name = "one"\n', "", "[[miners]]", "miners[0].name", "is not set", "What logs and commands call it"),
    ('["ws://127.0.0.1:9944"]', "[]", "endpoints", "contract.endpoints", "is empty", "Name at least one"),
    (
        '"ws://127.0.0.1:9944"',
        '"http://a"',
        "http://a",
        "contract.endpoints[0]",
        "'http://a'",
        '"wss://host:port"',
    ),
    (
        '"ws://127.0.0.1:9944"',
        '"wss://a",\n 5',
        " 5",
        "contract.endpoints[1]",
        "5 is no address",
        "Write it as",
    ),
    ('"ws://127.0.0.1:9944"', '"ws://u:canary@a"', "canary", "contract.endpoints[0]", "ws://…@a", "see user"),
    (BOB, BOB[:-1] + "x", "address", "contract.address", "wrong checksum", "Copy the address again"),
    (BOB, "abc", "address", "contract.address", "'abc' is no SS58", "begins with 5"),
    (
        BOB,
        "15oF4uVJwmo4TdGW7VfQxNLavjCXviqxT9S1MgbjMNHr6Sp5",
        "address",
        "contract.address",
        "prefix 0",
        "prefix 42",
    ),
    ("[store]", "[contract.x]\n[store]", "contract.x", "contract.x", "no such setting", "Remove it"),
    ('metadata = "contract.json"\n', "", "[contract]", "contract.metadata", "is not set", "metadata (JSON)"),
    ('path = "state"', "path = 3", "path = 3", "store.path", "3 is no path", "Write a path"),
    ('path = "state"', "busy_timeout_s = 0", "busy", "store.busy_timeout_s", "0 will not do", "write waits"),
    ('path = "state"', "busy_timeout_s = nan", "busy", "store.busy_timeout_s", "nan", "write waits"),
    (
        'path = "state"',
        "busy_timeout_s = true",
        "busy",
        "store.busy_timeout_s",
        "true is no number",
        "a number",
    ),
    ('path = "state"', "lease_ttl_s = 6", "lease", "store.lease_ttl_s", "6 is less", "Raise lease_ttl_s"),
    ('"0.01 TAO"', "0.01", "max_fee = 0.01", "limits.tao.max_fee", "0.01 has no unit", '"1.5 TAO"'),
    ('"0.01 TAO"', "10000000", "max_fee = 1", "limits.tao.max_fee", "10000000 has no unit", "1500000000 rao"),
    ('"0.01 TAO"', '"1 BTC"', "1 BTC", "limits.tao.max_fee", "'1 BTC' is not in TAO or rao", '"1.5 TAO"'),
    ('"0.01 TAO"', '"-1 TAO"', "-1 TAO", "limits.tao.max_fee", "'-1 TAO' is no amount", '"1.5 TAO"'),
    ('"0.01 TAO"', '"1e3 TAO"', "1e3 TAO", "limits.tao.max_fee", "'1e3 TAO' is no amount", '"1.5 TAO"'),
    ('"0.01 TAO"', '"0.5 rao"', "0.5 rao", "limits.tao.max_fee", "more than 0 decimal places", '"1.5 TAO"'),
    ('"0.01 TAO"', '"21000001 TAO"', "2100", "limits.tao.max_fee", "more than all TAO", '"1.5 TAO"'),
    ('"0.0005 BTC"', '"0.000000001 BTC"', "0.0000", "limits.btc.max_fee", "more than 8", "150000000 sat"),
    (
        "[limits.btc]",
        "margin_blocks = 8\n[limits.btc]",
        "margin",
        "limits.tao.margin_blocks",
        "8 is too small a margin: 3 for the mark to land + 6 (validators wait 6 blocks) = 9",
        "write 9 or more",
    ),
    (
        "[bitcoin]",
        "margin_blocks = 102\n[bitcoin]",
        "margin",
        "limits.btc.margin_blocks",
        "102 is too small a margin: 3 for the mark to land + 100",
        "write 103 or more",
    ),
    (
        "[bitcoin]",
        "validators_extend_timeouts = true\nmargin_blocks = 8\n[bitcoin]",
        "margin",
        "limits.btc.margin_blocks",
        "8 is too small",
        "write 9 or more",
    ),
    (
        "[bitcoin]",
        "final_confirmations = 1\nmark_confirmations = 2\n[bitcoin]",
        "final_c",
        "limits.btc.final_confirmations",
        "1 is less than mark_confirmations (2)",
        "raise final_confirmations",
    ),
    (
        "[bitcoin]",
        "[retry]\nbase_s = 9\ncap_s = 8\n[bitcoin]",
        "cap_s",
        "retry.cap_s",
        "8 is less",
        "Raise cap_s",
    ),
    ('"regtest"', '"main"', "network", "bitcoin.network", "'main'", "Which network"),
    ('cookie_file = "cookie"\n', "", "[bitcoin]", "bitcoin", "says not how to log in", "Write cookie_file"),
    (
        'cookie_file = "cookie"',
        'user = "u"',
        "[bitcoin]",
        "bitcoin.password_file",
        "has no password_file",
        "together",
    ),
    (
        "[[miners]]",
        'password = "canary"\n[[miners]]',
        "canary",
        "bitcoin.password",
        "no such",
        "password_file?",
    ),
    (
        "[[miners]]",
        "fee_cap_sat_vb = 2\nfee_floor_sat_vb = 3\n[[miners]]",
        "fee_cap",
        "bitcoin.fee_cap_sat_vb",
        "2 is less than fee_floor_sat_vb (3)",
        "Raise fee_cap_sat_vb",
    ),
    ('network = "regtest"', 'url = "ftp://x"', "url", "bitcoin", "", ""),
    (
        '{ keyfile = "hotkey", password_file = "password" }',
        "{}",
        "hotkey",
        "miners[0].hotkey",
        "names no key",
        "one of",
    ),
    (
        'keyfile = "hotkey"',
        'keyfile = "a", uri = "//A"',
        "keyfile",
        "miners[0].hotkey",
        "keyfile and uri",
        "one of",
    ),
    ('keyfile = "hotkey"', 'uri = "//A"', "uri", "miners[0].hotkey.password_file", "keyfile only", "Remove"),
    (
        'keyfile = "hotkey"',
        'keyfile = "env:X"',
        "env:X",
        "miners[0].hotkey.keyfile",
        "'env:X'",
        "credential:NAME",
    ),
    (
        'keyfile = "hotkey"',
        'keyfile = "credential:a/b"',
        "a/b",
        "miners[0].hotkey.keyfile",
        "no credential",
        "file",
    ),
    (
        '{ keyfile = "hotkey", password_file = "password" }',
        '{ uri = "//Alice" }',
        "uri",
        "miners[0].hotkey.uri",
        "development key",
        "allow_dev_keys",
    ),
    (
        'keyfile = "hotkey"',
        f'keyfile = "{MNEMONIC}"',
        "keyfile",
        "miners[0].hotkey.keyfile",
        "looks like the secret",
        "never the secret itself",
    ),
    (
        '{ keyfile = "hotkey", password_file = "password" }',
        f'"{HEX_KEY}"',
        "hotkey =",
        "miners[0].hotkey",
        "(not shown) is no table",
        "keyfile",
    ),
    (
        "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080",
        MAINNET,
        MAINNET,
        "miners[0].btc_address",
        "another network than regtest",
        "bcrt1",
    ),
    ("qw508d6", "qw508d7", "508d7", "miners[0].btc_address", "wrong checksum", "bcrt1"),
    (
        "[store]",
        'genesis = "0x12"\n[store]',
        "genesis",
        "contract.genesis",
        "'0x12' is no block hash",
        "64 hex",
    ),
    ('path = "state"', 'path = "~nobody-of-that-name/x"', "path =", "store.path", "no such home", "in full"),
    ("[[miners]]", "[miners]", "[miners]", "miners", "a table is no list", "[[miners]], one table each"),
    (
        'path = "state"',
        "busy_timeout_s = " + "9" * 400,
        "busy",
        "store.busy_timeout_s",
        "a huge number",
        "write waits",
    ),
    ('path = "state"', "busy_timeout_s = 2020-01-01", "busy", "store.busy_timeout_s", "2020", "write waits"),
    (ALICE, ALICE.lower(), "hotkey_address", "miners[0].hotkey_address", "wrong checksum", "Copy"),
]


@pytest.mark.parametrize(("old", "new", "needle", "key", "value", "remedy"), MATRIX)
def test_a_wrong_setting(old: str, new: str, needle: str, key: str, value: str, remedy: str) -> None:
    text = replaced(old, new)
    if not value:  # two tables of one name: the TOML itself is wrong
        (problem,) = problems_of(text)
        assert "is no valid TOML" in problem.problem
        return
    found = problems_of(text)
    where = f"swap-miner.toml:{line_with(needle, text)}: {key}"
    matching = [problem for problem in found if problem.where == where and value in problem.problem]
    assert matching, [str(problem) for problem in found]
    assert remedy in matching[0].remedy
    told = "\n".join(map(str, found))
    for secret in ("canary", MNEMONIC, HEX_KEY):
        assert secret not in told


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("a = \n", ":1:5", "Invalid value"),
        ('[contract]\naddress = "x\nb = 1', ":2:13", "Illegal character"),
        ("[contract]\naddress = 'x\n\n", ":2:13", 'Expected "\'"'),
        ("a = [1,", ":1:8", "Invalid value"),
        ("a = 1\na = 2\n", ":2:6", "Cannot overwrite"),
        ("x = " + "9" * 5000, "", "limit"),
        ("x = " + "[" * 3000, "", "nested"),
    ],
)
def test_invalid_toml_names_line_and_column(text: str, place: str, said: str) -> None:
    (problem,) = problems_of(text)
    assert problem.where == f"swap-miner.toml{place}"
    assert "is no valid TOML" in problem.problem
    assert said in problem.problem
    assert problem.remedy


def test_all_problems_are_told_in_the_order_of_the_file() -> None:
    text = replaced('"0.01 TAO"', "1", replaced('name = "one"', "name = 1", replaced(BOB, "x")))
    found = problems_of(text)
    assert [problem.where.split(": ")[1] for problem in found] == [
        "contract.address",
        "limits.tao.max_fee",
        "miners[0].name",
    ]


def test_duplicate_miners_are_refused() -> None:
    second = GOOD[GOOD.index("[[miners]]") :]
    found = problems_of(GOOD + second)
    assert [problem.where.split(": ")[1] for problem in found] == [
        "miners[1].name",
        "miners[1].hotkey",
        "miners[1].hotkey_address",
    ]
    assert all("'one' already" in problem.problem for problem in found)
    assert found[0].where.startswith(f"swap-miner.toml:{GOOD.count(chr(10)) + 2}:")


def test_the_wrong_one_of_many_miners_is_named() -> None:
    more = "".join(
        f'\n[[miners]]\nname = "m{i}"\nhotkey = {{ mnemonic_file = "m{i}" }}\n'
        + ("bogus = 1\n" if i == 2 else "")
        for i in range(4)
    )
    (problem,) = problems_of(GOOD + more)
    assert problem.where == f"swap-miner.toml:{line_with('bogus', GOOD + more)}: miners[3].bogus"


def test_bitcoin_settings_without_a_node_are_refused() -> None:
    start, end = GOOD.index("[bitcoin]"), GOOD.index("[[miners]]")
    (problem,) = problems_of(GOOD[:start] + GOOD[end:])
    assert problem.where.endswith(": miners[0].btc_address")
    assert "no [bitcoin]" in problem.problem


@pytest.mark.parametrize(
    ("name", "value", "said", "remedy"),
    [
        ("SWAP_MINER__LIMITS__TAO__MAX_FEE", "2", "'2' is no amount", "1.5 TAO"),
        ("SWAP_MINER__LIMTS__TAO__MAX_FEE", "2 TAO", "no setting limts", "Did you mean limits?"),
        ("SWAP_MINER__LOG__LEVL", "info", "no setting log.levl", "Did you mean level?"),
        ("SWAP_MINER__LOG__LEVEL__X", "info", "no setting log.level.x", "Remove it"),
        ("SWAP_MINER__CONTRACT__ENDPOINTS", "wss://a", "'wss://a' is no list", '["one", "another"]'),
        ("SWAP_MINER__LOG", '{"level": "loud"}', "level: 'loud'", "Least severity"),
        ("SWAP_MINER__BITCOIN__USER", "canary", "", "password_file"),
        ("SWAP_MINER__", "x", "no setting", "Remove it"),
    ],
)
def test_a_wrong_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str, remedy: str
) -> None:
    monkeypatch.setenv(name, value)
    found = problems_of(GOOD)
    told = "\n".join(map(str, found))
    assert said in told
    assert name in told or name.endswith("USER")
    assert remedy in told


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "absent.toml")
    assert caught.value.where == str(tmp_path / "absent.toml")
    assert "No such file" in caught.value.problem
    assert "swap-miner init" in caught.value.remedy


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "swap-miner.toml"
    path.write_bytes(b'[contract]\nx = "\xff"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.where == f"{path}:2"
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        load(path)


# files

FILE_MATRIX = [
    ("hotkey", "miners[0].hotkey.keyfile"),
    ("password", "miners[0].hotkey.password_file"),
]


@pytest.mark.parametrize(("name", "key"), FILE_MATRIX)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_secret_that_others_can_read(tmp_path: Path, name: str, key: str, mode: int) -> None:
    config = write_settings(tmp_path)
    (tmp_path / name).chmod(mode)
    with pytest.raises(ConfigError) as caught:
        load(config, files=True)
    assert caught.value.where == f"{config}:{line_with('keyfile', GOOD)}: {key}"
    assert f"{tmp_path / name} is open to other users (mode {mode:04o})" in caught.value.problem
    assert caught.value.remedy == f"chmod 600 {tmp_path / name}"
    load(config)  # commands that only read do not look


def test_a_cookie_may_be_missing_and_read_by_its_group(tmp_path: Path) -> None:
    config = write_settings(tmp_path)
    (tmp_path / "cookie").chmod(0o640)
    load(config, files=True)
    (tmp_path / "cookie").chmod(0o644)
    with pytest.raises(ConfigError, match=r"bitcoin.cookie_file: .* is open to other users"):
        load(config, files=True)
    (tmp_path / "cookie").unlink()
    load(config, files=True)


@pytest.mark.parametrize(("name", "key"), FILE_MATRIX)
def test_a_secret_that_is_missing_or_no_file(tmp_path: Path, name: str, key: str) -> None:
    config = write_settings(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(ConfigError, match="No such file"):
        load(config, files=True)
    (tmp_path / name).mkdir()
    (tmp_path / name).chmod(0o700)
    with pytest.raises(ConfigError, match="is not a regular file"):
        load(config, files=True)


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), ("{", "is no JSON"), ("[]", "is no metadata"), ("{}", "no metadata")],
)
def test_metadata_that_is_none(tmp_path: Path, content: str | None, said: str) -> None:
    config = write_settings(tmp_path)
    (tmp_path / "contract.json").unlink()
    if content is not None:
        (tmp_path / "contract.json").write_text(content, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config, files=True)
    assert caught.value.where == f"{config}:{line_with('metadata', GOOD)}: contract.metadata"
    assert said in caught.value.problem


def test_placeholders_are_refused_where_it_counts(tmp_path: Path) -> None:
    config = write_settings(tmp_path, example_text())
    load(config)
    with pytest.raises(ConfigErrors) as caught:
        load(config, files=True)
    told = str(caught.value)
    assert "contract.endpoints[0]" in told
    assert "contract.address" in told
    assert told.count("example's placeholder") == 3


# anything else

WORDS = st.sampled_from(
    "contract endpoints address metadata genesis store path limits tao btc max_fee margin_blocks "
    "bitcoin url network cookie_file user password_file miners name hotkey keyfile uri tao_key log level "
    "recovery _env_file _cli_parse_args self model_config settings_cls".split()
)
VALUES = st.sampled_from(
    [
        "1",
        "-1",
        "0.5",
        "nan",
        "inf",
        "true",
        "[]",
        "{}",
        '""',
        '"x"',
        '"1 TAO"',
        '"1 sat"',
        '"~nobody/x"',
        '"\\u0000"',
        '["wss://[", "wss://a:99999"]',
        "[[1]]",
        '{ uri = "//A" }',
        "2020-01-01",
        "9999999999999999999999",
        f'"{ALICE}"',
        '"depth=3"',
        '"wss://h:1"',
        '["wss://h:1"]',
        '"credential:x"',
        '"env:y"',
        '"\\u2028"',
    ]
)
LINES = st.one_of(
    st.builds(lambda a, b: f"{a} = {b}", st.lists(WORDS, min_size=1, max_size=3).map(".".join), VALUES),
    st.builds(
        lambda a, b: f"{b[0]}{a}{b[1]}",
        st.lists(WORDS, min_size=1, max_size=2).map(".".join),
        st.sampled_from([("[", "]"), ("[[", "]]")]),
    ),
)


def only_a_config_error(text: str) -> None:
    try:
        read(text, Path("fuzz.toml"))
    except ConfigError as exc:
        for problem in each_problem(exc):
            assert problem.where.startswith("fuzz.toml")
            assert problem.problem
            assert problem.remedy


@given(st.text(max_size=200))
def test_any_text_loads_or_is_a_config_error(text: str) -> None:
    only_a_config_error(text)


@given(st.lists(LINES, max_size=12).map("\n".join))
@example("_cli_parse_args = true")
@example("_env_file = 'x'")
def test_any_toml_loads_or_is_a_config_error(text: str) -> None:
    only_a_config_error(text)


@given(st.integers(0, GOOD.count("\n")), LINES)
def test_a_good_file_with_any_line_loads_or_is_a_config_error(at: int, line: str) -> None:
    lines = GOOD.split("\n")
    only_a_config_error("\n".join([*lines[:at], line, *lines[at:]]))


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="utf-8"))
def test_a_good_file_with_any_character_changed(at: int, char: str) -> None:
    only_a_config_error(GOOD[:at] + char + GOOD[at + 1 :])


def test_the_environment_is_ours_in_tests() -> None:
    assert not [name for name in os.environ if name.startswith("SWAP_MINER__")]
