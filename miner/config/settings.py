"""The settings, as a model: what exists, what it means, what it is when it is not written.

A field's description is what the commented example and the messages say of it. Lengths of time are in
seconds, amounts carry their unit, paths are absolute after reading.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from miner.amounts import Chain
from miner.config.environment import PREFIX, EnvironmentSource
from miner.config.fields import (
    BlockHash,
    Blocks,
    Count,
    FilePath,
    HttpUrl,
    Name,
    NodeUrl,
    Part,
    SatPerVbyte,
    Seconds,
    Secret,
    Ss58,
    StoreUrl,
)
from miner.config.limits import Limits
from miner.config.notify import NotifySettings
from miner.config.ops import OpsSettings
from miner.config.problems import BadValue

STATE_FOLDER = Path("/var/lib/swap-miner")


class ContractSettings(Part):
    """The swap contract and the nodes of its chain."""

    endpoints: Annotated[tuple[NodeUrl, ...], Field(min_length=1, max_length=16)] = Field(
        description="Nodes of the contract's chain, best first; the next one is used when one fails"
    )
    archive_endpoint: NodeUrl | None = Field(
        None, description="A node that keeps old state, asked when the others have discarded it"
    )
    address: Ss58 = Field(description="The swap contract")
    metadata: FilePath = Field(description="The contract's metadata (JSON), from its build")
    genesis: BlockHash | None = Field(
        None, description="Hash of the chain's block 0; without it the first answer is kept and held to"
    )
    netuid: Annotated[Count, Field(le=65_535)] | None = Field(
        None, description="The subnet on which the miners' quotes are committed"
    )
    request_timeout_s: Seconds = Field(20, description="How long one request to a node may take")
    stall_timeout_s: Seconds = Field(
        120, description="A node whose newest block is older than this is left for the next one"
    )
    poll_interval_s: Seconds = Field(
        6, description="How often heads are asked for when no subscription tells them"
    )
    sweep_interval_blocks: Blocks = Field(
        25, description="Finalised blocks between two looks at all open swaps, which find what events missed"
    )
    allow_dev_keys: bool = Field(
        False, description="Whether keys like //Alice may be used: on a local devnet only"
    )


class StoreSettings(Part):
    """The database of sagas and lanes."""

    path: FilePath = Field(
        STATE_FOLDER, description="The state folder: on a local disk, kept across restarts"
    )
    url: StoreUrl | None = Field(
        None, description="A PostgreSQL database for them, in place of a SQLite file in the state folder"
    )
    password_file: Secret | None = Field(None, description="Where the password of that database is")
    standby: bool = Field(
        False, description="Whether to wait, and take over, while another daemon works on the same database"
    )
    lease_ttl_s: Seconds = Field(
        30, description="After how long without a heartbeat another process may take over"
    )
    busy_timeout_s: Seconds = Field(5, description="How long a write waits for another process's write")

    @property
    def file(self) -> Path:
        """The database file within the state folder."""
        return self.path / "swap-miner.sqlite"

    @property
    def place(self) -> str:
        """Where the database is, for people: the file, or the server without what follows the name."""
        return str(self.file) if self.url is None else self.url.partition("?")[0]

    @property
    def may_exist(self) -> bool:
        """False where there is certainly no store yet; only asking a server tells of one there."""
        return self.url is not None or self.file.exists()


class RetrySettings(Part):
    """How often is tried again what did not work."""

    base_s: Seconds = Field(
        2, description="First pause after a failure that may pass; doubled each time, with jitter"
    )
    cap_s: Seconds = Field(120, description="Longest pause")
    rebroadcast_blocks: Blocks = Field(
        5, description="Finalised blocks between two broadcasts of the same bytes"
    )

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.cap_s < self.base_s:
            raise BadValue(
                f"{self.cap_s:g} is less than base_s ({self.base_s:g})",
                "Raise cap_s, or lower base_s",
                ("cap_s",),
            )
        return self


class BitcoinSettings(Part):
    """The Bitcoin node (Core or Knots) whose wallet pays BTC and sees users' payments."""

    url: HttpUrl = Field("http://127.0.0.1:8332", description="The node's RPC")
    network: Literal["mainnet", "testnet", "testnet4", "signet", "regtest"] = Field(
        "mainnet", description="Which network the node must be of"
    )
    wallet: Name = Field(
        "swap-miner", description="Name of the node's wallet that holds the payout addresses"
    )
    cookie_file: Secret | None = Field(None, description="The node's .cookie file, to log in with")
    user: str | None = Field(None, description="RPC user, with password_file, instead of cookie_file")
    password_file: Secret | None = Field(None, description="Where the RPC password is")
    fee_floor_sat_vb: SatPerVbyte = Field(1, description="Lowest fee rate, sat per vbyte")
    fee_cap_sat_vb: SatPerVbyte = Field(300, description="Highest fee rate, bumps included, sat per vbyte")
    fee_target_blocks: Annotated[Blocks, Field(le=1008)] = Field(
        2, description="Blocks within which a payout should confirm"
    )
    request_timeout_s: Seconds = Field(30, description="How long one request to the node may take")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        by_password = self.user is not None or self.password_file is not None
        if by_password == (self.cookie_file is not None):
            problem = (
                "has both cookie_file and user/password_file" if by_password else "says not how to log in"
            )
            raise BadValue(problem, "Write cookie_file, or user and password_file")
        if by_password and (self.user is None or self.password_file is None):
            missing = "user" if self.user is None else "password_file"
            raise BadValue(f"has no {missing}", "user and password_file belong together", (missing,))
        if self.fee_cap_sat_vb < self.fee_floor_sat_vb:
            raise BadValue(
                f"{self.fee_cap_sat_vb} is less than fee_floor_sat_vb ({self.fee_floor_sat_vb})",
                "Raise fee_cap_sat_vb, or lower fee_floor_sat_vb",
                ("fee_cap_sat_vb",),
            )
        return self


class KeyKind(StrEnum):
    """How a key is found."""

    KEYFILE = "keyfile"
    MNEMONIC = "mnemonic_file"
    DEV_URI = "uri"


class KeySource(Part):
    """Where a signing key is; exactly one of `keyfile`, `mnemonic_file` and `uri` is set."""

    keyfile: Secret | None = Field(None, description="A Bittensor keyfile, or credential:NAME")
    password_file: Secret | None = Field(
        None, description="Where the keyfile's password is; none: not encrypted"
    )
    mnemonic_file: Secret | None = Field(None, description="A file that holds the mnemonic")
    uri: str | None = Field(None, description="A development key such as //Alice", repr=False)

    @property
    def kind(self) -> KeyKind:
        """Which of the three it is."""
        return next(kind for kind in KeyKind if getattr(self, kind.value) is not None)

    @model_validator(mode="after")
    def _exactly_one(self) -> Self:
        set_ones = [kind.value for kind in KeyKind if getattr(self, kind.value) is not None]
        if len(set_ones) != 1:
            problem = "names no key" if not set_ones else f"names {' and '.join(set_ones)}"
            raise BadValue(problem, 'Write one of keyfile and mnemonic_file: { keyfile = "/path" }')
        if self.password_file is not None and self.keyfile is None:
            raise BadValue("belongs to a keyfile only", "Remove password_file", ("password_file",))
        if self.keyfile is not None and self.keyfile.kind.value == "env":
            raise BadValue("{value} is no file", "Name the keyfile's path, or credential:NAME", ("keyfile",))
        if self.uri is not None and not self.uri.startswith("//"):
            raise BadValue(
                "is no development key", "Use a keyfile; only keys like //Alice may stand here", ("uri",)
            )
        return self


class MinerSettings(Part):
    """One miner: its hotkey, and the accounts that pay for it."""

    name: Name = Field(description="What logs and commands call it")
    hotkey: KeySource = Field(description="The key that marks, registered with the contract")
    hotkey_address: Ss58 | None = Field(
        None, description="The hotkey's address: the key is checked against it"
    )
    tao_key: KeySource | None = Field(None, description="The key that pays TAO; none: the hotkey pays")
    tao_address: Ss58 | None = Field(
        None, description="The quoted TAO address: the paying key is checked against it"
    )
    btc_address: str | None = Field(None, description="The quoted BTC address (bc1…), of the node's wallet")
    btc_wallet: Name | None = Field(
        None, description="The node's wallet, where it is another than [bitcoin] wallet"
    )

    @property
    def payout_key(self) -> KeySource:
        """The key that pays TAO."""
        return self.tao_key or self.hotkey


class LogSettings(Part):
    """The log, on standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severity that is written"
    )
    format: Literal["json", "console"] = Field(
        "json", description="'json' for machines, 'console' for people"
    )
    repeat_s: Annotated[Count, Field(le=86_400)] = Field(
        60,
        description="How long the same warning is written once, its repetitions counted; 0: each is written",
    )


class RecoverySettings(Part):
    """The append-only log of every swap that put money at risk."""

    path: FilePath | None = Field(None, description="The file; none: recovery.jsonl in the state folder")


class Settings(BaseSettings):
    """Everything the operator decides: one TOML file, with overrides from the environment."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=PREFIX, env_nested_delimiter="__", hide_input_in_errors=True
    )

    contract: ContractSettings
    store: StoreSettings = StoreSettings()
    limits: Limits = Limits()
    retry: RetrySettings = RetrySettings()
    bitcoin: BitcoinSettings | None = None
    miners: Annotated[tuple[MinerSettings, ...], Field(min_length=1, max_length=256)]
    log: LogSettings = LogSettings()
    recovery: RecoverySettings = RecoverySettings()
    ops: OpsSettings = OpsSettings()
    notify: Annotated[tuple[NotifySettings, ...], Field(max_length=16)] = ()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment goes before the file; nothing else is read."""
        return EnvironmentSource(settings_cls), init_settings

    @property
    def recovery_file(self) -> Path:
        """The recovery log."""
        return self.recovery.path or self.store.path / "recovery.jsonl"

    @property
    def ops_socket(self) -> Path:
        """The ops server's Unix socket."""
        return self.ops.socket_in(self.store.path)

    @property
    def chains(self) -> frozenset[Chain]:
        """Chains that there is a node for."""
        return frozenset(Chain) if self.bitcoin is not None else frozenset({Chain.TAO})

    def miner(self, name: str) -> MinerSettings | None:
        """The miner of that name."""
        return next((miner for miner in self.miners if miner.name == name), None)

    def wallet_of(self, miner: MinerSettings) -> str | None:
        """Name of the Bitcoin wallet that pays for a miner; None where no BTC is paid."""
        return None if self.bitcoin is None else miner.btc_wallet or self.bitcoin.wallet
