"""What a host may give as its channel."""

import functools
from typing import Any
from unittest.mock import AsyncMock

import pytest

from handoff_kit.controller.channels import CallableChannel, HostChannel, InlineChannel, as_channel
from handoff_kit.controller.ports import Channel
from handoff_kit.controller.testing import MemoryChannel
from handoff_kit.controller.testing.contracts import run
from handoff_kit.machines import HandoffUsageError, SendToCustomer

HELLO = SendToCustomer(speaker="system", text="hello", epoch=0)


async def send(conversation: str, text: SendToCustomer, key: str) -> None: ...


class Sender:
    def __init__(self) -> None:
        self.sent: list[tuple[Any, ...]] = []

    async def __call__(self, *args: Any) -> None:
        self.sent.append(args)

    async def with_more(self, more: str, conversation: str, text: SendToCustomer, key: str) -> None:
        self.sent.append((more, conversation, text, key))


def test_no_channel_is_the_hosts_own() -> None:
    channel = as_channel(None)

    assert isinstance(channel, HostChannel)
    assert channel.kind == "host"
    assert channel.reaches("c-1") is True


@pytest.mark.parametrize("channel", [HostChannel(), InlineChannel()])
def test_who_does_not_send_says_so(channel: Channel) -> None:
    assert isinstance(channel, Channel)
    assert channel.reaches("c-1") is True
    with pytest.raises(HandoffUsageError, match="c-1:2:0: "):
        run(channel.send("c-1", HELLO, "c-1:2:0"))


def test_a_channel_is_taken_as_it_is() -> None:
    for channel in (MemoryChannel(), InlineChannel(), CallableChannel(send)):
        assert as_channel(channel) is channel


def test_async_callables_of_every_kind_are_called() -> None:
    sender = Sender()
    for value in (sender, sender.__call__, functools.partial(sender.with_more, "more")):
        channel = as_channel(value)
        assert channel.kind == "push"
        run(channel.send("c-1", HELLO, "k-1"))
    assert sender.sent == [("c-1", HELLO, "k-1"), ("c-1", HELLO, "k-1"), ("more", "c-1", HELLO, "k-1")]


def test_who_is_reached_is_the_hosts_to_say() -> None:
    assert CallableChannel(send).reaches("c-1") is True
    channel = CallableChannel(send, reaches=lambda conversation: conversation == "c-1")
    assert (channel.reaches("c-1"), channel.reaches("c-2")) == (True, False)


def plain(conversation: str, text: SendToCustomer, key: str) -> None: ...


async def too_few(conversation: str, text: SendToCustomer) -> None: ...


async def too_many(conversation: str, text: SendToCustomer, key: str, more: str) -> None: ...


class HalfAsync:
    kind = "push"

    def send(self, conversation: str, text: SendToCustomer, key: str) -> None: ...

    def reaches(self, conversation: str) -> bool:
        return True


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (plain, "plain is no async function.* write `async def send"),
        (lambda *args: None, "is no async function"),
        (too_few, r"too_few must take \(conversation, text, key\)"),
        (too_many, r"too_many must take \(conversation, text, key\)"),
        (HalfAsync(), "HalfAsync: its `send` is no async method"),
        (MemoryChannel, r"MemoryChannel is a class: give a channel, such as MemoryChannel\(\)"),
        ("https://example.org", "str is no channel: give an async function"),
        (7, "int is no channel"),
    ],
)
def test_what_is_no_channel_is_refused_at_once(value: Any, words: str) -> None:
    with pytest.raises(HandoffUsageError, match=words):
        as_channel(value)


def test_an_async_mock_is_an_async_function() -> None:
    mock = AsyncMock(spec=send)
    run(CallableChannel(mock).send("c-1", HELLO, "k-1"))

    mock.assert_awaited_once_with("c-1", HELLO, "k-1")
