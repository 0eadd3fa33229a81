"""The settings: one TOML file, overrides from the environment, and what is wrong with them, in full."""

from miner.config.ops import OpsSettings
from miner.config.policy import to_policy
from miner.config.preflight import CheckLine, settings_lines
from miner.config.problems import ConfigErrors, each_problem, without_credentials
from miner.config.quantities import amount_in_tao
from miner.config.reading import DEFAULT_PATHS, find, load, read
from miner.config.reload import Reload, reload
from miner.config.secrets import SecretFile, SecretKind
from miner.config.settings import (
    BitcoinSettings,
    ContractSettings,
    KeyKind,
    KeySource,
    LogSettings,
    MinerSettings,
    Settings,
    StoreSettings,
)
from miner.config.template import example, write_example

__all__ = [
    "DEFAULT_PATHS",
    "BitcoinSettings",
    "CheckLine",
    "ConfigErrors",
    "ContractSettings",
    "KeyKind",
    "KeySource",
    "LogSettings",
    "MinerSettings",
    "OpsSettings",
    "Reload",
    "SecretFile",
    "SecretKind",
    "Settings",
    "StoreSettings",
    "amount_in_tao",
    "each_problem",
    "example",
    "find",
    "load",
    "read",
    "reload",
    "settings_lines",
    "to_policy",
    "without_credentials",
    "write_example",
]
