"""Messages over real HTTP: what arrives, how it is signed, and what each kind of failure means."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
from typing import Any

import pytest

from miner.errors import EffectError, NotSent, NotYet, OutcomeUnknown, Refused
from miner.model import NoticeKind, Phase
from miner.notify import guard
from miner.notify.targets import LONGEST_WAIT_S, HttpMessenger, retry_after
from tests.unit.receivers import SECRET, Answer, delivery, receiving, target

NOW = 1_700_000_123.4


async def failing(answer: Answer, **changes: Any) -> EffectError:
    """What a receiver's answer comes to."""
    async with receiving(answer) as receiver:
        with pytest.raises(EffectError) as caught:
            await HttpMessenger(target(receiver.url, **changes)).send(delivery())
        receiver.let_go.set()
    assert "canary" not in str(caught.value), "no address and no key is told"
    return caught.value


async def test_a_webhook_is_signed_over_id_time_and_body() -> None:
    async with receiving() as receiver:
        await HttpMessenger(target(receiver.url), lambda: NOW).send(delivery())
    (got,) = receiver.got
    signed = f"{delivery().id}.1700000123.".encode() + got.body
    due = base64.b64encode(hmac.new(SECRET.encode(), signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{due}"
    assert got.headers["webhook-id"] == delivery().id == got.json["id"]
    assert got.headers["webhook-timestamp"] == "1700000123"
    assert got.json["event"] == "swap_held"
    assert got.json["phase"] == "raised"


async def test_every_attempt_has_the_same_id_and_body() -> None:
    async with receiving() as receiver:
        for at in (NOW, NOW + 99):
            await HttpMessenger(target(receiver.url), lambda at=at: at).send(delivery())  # type: ignore[misc]
    one, other = receiver.got
    assert one.body == other.body
    assert one.headers["webhook-id"] == other.headers["webhook-id"]
    assert one.headers["webhook-signature"] != other.headers["webhook-signature"], "the time is signed too"


async def test_a_whsec_key_is_its_bytes() -> None:
    key = b"\x00\x01binary"
    async with receiving() as receiver:
        secret = "whsec_" + base64.b64encode(key).decode()
        await HttpMessenger(target(receiver.url, secret=lambda: secret), lambda: NOW).send(delivery())
    (got,) = receiver.got
    signed = f"{delivery().id}.1700000123.".encode() + got.body
    due = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert got.headers["webhook-signature"] == f"v1,{due}"


async def test_telegram_is_called_by_its_token() -> None:
    async with receiving() as receiver:
        base = receiver.url.removesuffix("/hook/canary-path")
        await HttpMessenger(target(base, "telegram", chat="-100")).send(delivery())
    (got,) = receiver.got
    assert got.path == f"/bot{SECRET}/sendMessage"
    assert got.json["chat_id"] == "-100"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408])
async def test_what_is_not_taken_may_be_tried_again(status: int) -> None:
    assert type(await failing(Answer(status))) is NotSent


@pytest.mark.parametrize("status", [500, 502, 504])
async def test_a_receiver_that_fails_may_have_taken_it(status: int) -> None:
    assert isinstance(await failing(Answer(status)), OutcomeUnknown)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_says_when_is_heard(status: int) -> None:
    error = await failing(Answer(status, {"Retry-After": "77"}))
    assert isinstance(error, NotYet)
    assert error.after_s == 77


async def test_discord_and_telegram_say_when_in_their_answer() -> None:
    error = await failing(Answer(429, body=b'{"parameters": {"retry_after": 31}}'))
    assert isinstance(error, NotYet)
    assert error.after_s == 31


async def test_nobody_makes_us_wait_for_ever() -> None:
    error = await failing(Answer(429, {"Retry-After": "999999999"}))
    assert isinstance(error, NotYet)
    assert error.after_s == LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("header", "said", "after"),
    [
        ("Tue, 14 Nov 2023 22:15:33 GMT", b"", 10.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", b"", 0.0),
        ("soon", b"", None),
        (None, b'{"retry_after": 1.5}', 1.5),
        (None, b'{"retry_after": "1"}', None),
        (None, b"[1]", None),
        (None, b"<html>", None),
    ],
)
def test_when_to_come_again(header: str | None, said: bytes, after: float | None) -> None:
    assert retry_after(header, said, 1_700_000_123.0) == after


async def test_redirects_are_not_followed() -> None:
    async with receiving() as other:
        error = await failing(Answer(302, {"Location": other.url}))
        assert isinstance(error, Refused)
        assert error.name == "redirected"
        assert other.got == []


async def test_what_is_gone_is_gone() -> None:
    error = await failing(Answer(410))
    assert isinstance(error, Refused)
    assert error.name == "gone"


async def test_a_receiver_that_hangs_is_left() -> None:
    error = await failing(Answer(hang=True), timeout_s=0.3)
    assert isinstance(error, OutcomeUnknown)
    assert error.cause == "no answer in time"


async def test_a_receiver_that_hangs_up_may_have_taken_it() -> None:
    assert isinstance(await failing(Answer(drop=True)), OutcomeUnknown)


async def test_a_receiver_that_is_not_there_got_nothing() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/canary"
        with pytest.raises(NotSent, match="no connection") as caught:
            await HttpMessenger(target(url)).send(delivery())
    assert "canary" not in str(caught.value)


async def test_a_file_that_cannot_be_read_is_told_without_its_content() -> None:
    def unreadable() -> str:
        raise ValueError("canary")

    with pytest.raises(NotSent, match="cannot be read") as caught:
        await HttpMessenger(target("http://127.0.0.1:1/", secret=unreadable)).send(delivery())
    assert "canary" not in str(caught.value)


# where messages may go


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1",
        "169.254.169.254", "fe80::1%eth0", "fd00:ec2::254", "100.64.0.1", "0.0.0.0", "255.255.255.255",
        "224.0.0.1", "ff02::1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1",
        "64:ff9b:1::a00:1", "240.0.0.1", "192.0.0.1", "198.18.0.1", "2001:db8::1", "::",
    ],
)  # fmt: skip
def test_private_addresses_are_forbidden(address: str) -> None:
    with pytest.raises(guard.Forbidden):
        guard.check(address, allow_loopback=False)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "64:ff9b::101:101"])
def test_public_addresses_are_not(address: str) -> None:
    guard.check(address, allow_loopback=False)
    with pytest.raises(guard.Forbidden, match="without https"):
        guard.check(address, allow_loopback=True, encrypted=False)


def test_loopback_that_is_allowed_allows_nothing_else() -> None:
    guard.check("127.0.0.1", allow_loopback=True, encrypted=False)
    with pytest.raises(guard.Forbidden):
        guard.check("192.168.1.1", allow_loopback=True)


async def test_the_address_that_is_connected_to_is_judged() -> None:
    """Written out and by name alike: what a name means is judged when the socket is made."""
    async with receiving() as receiver:
        for url in (receiver.url, receiver.url.replace("127.0.0.1", "localhost")):
            with pytest.raises(Refused, match="forbidden_target") as caught:
                await HttpMessenger(target(url, allow_loopback=False)).send(delivery())
            assert caught.value.name == "forbidden_target"
        assert receiver.got == []


async def test_a_name_that_means_another_address_at_the_next_look_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with receiving() as receiver:
        port = int(receiver.url.split(":")[2].partition("/")[0])

        async def rebound(*_args: object, **_kwargs: object) -> list[tuple[object, ...]]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", rebound)
        with pytest.raises(Refused, match="forbidden_target"):
            await HttpMessenger(target(f"https://public.example:{port}/", allow_loopback=False)).send(
                delivery()
            )
        assert receiver.got == []


@pytest.mark.parametrize("kind", list(NoticeKind))
@pytest.mark.parametrize("form", ["webhook", "discord", "slack", "telegram"])
async def test_every_kind_goes_to_every_target(kind: NoticeKind, form: str) -> None:
    async with receiving() as receiver:
        told = delivery(kind, phase=Phase.CLEARED)
        await HttpMessenger(target(receiver.url, form, chat="1")).send(told)
    assert len(receiver.got) == 1
