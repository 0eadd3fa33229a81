"""`[[notify]]`: who is told what, and how they are reached."""

from __future__ import annotations

from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from miner.config.fields import HttpUrl, Name, Part, Seconds, Secret
from miner.config.problems import BadValue
from miner.errors import ConfigError
from miner.model import NoticeKind, Route, Severity

TELEGRAM = "https://api.telegram.org"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_NEEDS = {
    "webhook": ("secret_file", "the key that it signs messages with"),
    "telegram": ("secret_file", "the bot's token"),
}


class NotifySettings(Part):
    """One target of notices."""

    name: Name = Field(description="What messages and commands call it")
    kind: Literal["webhook", "discord", "slack", "telegram"] = Field(
        description="webhook (signed JSON), discord, slack or telegram"
    )
    url: HttpUrl | None = Field(None, description="Where to, where the address is no secret")
    url_file: Secret | None = Field(
        None, description="Where the address is, which for Discord and Slack is secret"
    )
    secret_file: Secret | None = Field(
        None, description="Where the key is that webhooks are signed with, or the Telegram bot's token"
    )
    chat: str | None = Field(None, description="The Telegram chat: a number, or @name of a channel")
    events: tuple[NoticeKind, ...] = Field((), description="Only these events; none: all of them")
    least_severity: Severity = Field(
        Severity.WARNING, description="Least severity that is told: info, warning or critical"
    )
    allow_loopback: bool = Field(
        False, description="Whether the target may be this machine itself, then also without https"
    )
    timeout_s: Seconds = Field(10, description="How long one attempt may take")

    @property
    def route(self) -> Route:
        """Which notices it gets; a test message in any case."""
        kinds = frozenset(self.events) or frozenset(NoticeKind)
        return Route(self.name, kinds, self.least_severity)

    def address(self) -> str:
        """Where to; read anew at each call.

        Raises:
            ConfigError: It cannot be read, or is no web address.
        """
        if self.url is not None:
            return self.url
        if self.url_file is None:
            return TELEGRAM
        found = self.url_file.read()
        if urlsplit(found).scheme not in ("http", "https"):
            raise ConfigError(str(self.url_file), "holds no web address", "Put the whole address into it")
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.url is not None and self.url_file is not None:
            raise BadValue("has both url and url_file", "Write one of them", ("url_file",))
        if self.url is None and self.url_file is None and self.kind != "telegram":
            raise BadValue("names no address", "Write url_file, or url where the address is no secret")
        if self.url is not None and self.kind in ("discord", "slack") and not self.allow_loopback:
            raise BadValue(
                "is an access key, whoever knows it may write there",
                "Put the address into a file, and name it in url_file",
                ("url",),
            )
        self._check_plain()
        self._check_keys()
        return self

    def _check_plain(self) -> None:
        parts = urlsplit(self.url or TELEGRAM)
        if parts.scheme == "https":
            return
        if not self.allow_loopback or parts.hostname not in _LOOPBACK:
            raise BadValue(
                "is not encrypted",
                "Write https://; http only to this machine itself, with allow_loopback = true",
                ("url",),
            )

    def _check_keys(self) -> None:
        needed = _NEEDS.get(self.kind)
        if needed is not None and self.secret_file is None:
            raise BadValue(f"has no {needed[0]}", f"Name the file that holds {needed[1]}", (needed[0],))
        if (self.kind == "telegram") != (self.chat is not None):
            problem = "names no chat" if self.chat is None else "is for telegram only"
            raise BadValue(problem, "A Telegram target needs chat, and no other has one", ("chat",))
