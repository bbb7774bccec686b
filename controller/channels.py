"""Channels that need no vendor: the host's own function, the host itself, and the answer to the request that is being handled.

What may not go in here: vendors, retries (the dispatcher's).
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from handoff_kit.machines import HandoffUsageError
from handoff_kit.machines.effects import SendToCustomer

from .ports import Channel

__all__ = ["CallableChannel", "HostChannel", "InlineChannel", "Send", "as_channel"]

#: What a host gives as its channel: `async def send(conversation, text, key)`.
Send = Callable[[str, SendToCustomer, str], Awaitable[None]]


class CallableChannel:
    """Texts are sent by an async function of the host's own.

    Args:
        send: `async def send(conversation: str, text: SendToCustomer, key: str)`; it may be called again with the same key.
        reaches: whether this process can reach the customer of a conversation; without it every customer can be reached.

    Raises:
        HandoffUsageError: `send` is a plain function, or does not take the three arguments.
    """

    kind: Literal["push", "host", "inline"] = "push"

    def __init__(self, send: Send, *, reaches: Callable[[str], bool] | None = None) -> None:
        if not _is_async(send):
            raise HandoffUsageError(
                f"{_named(send)} is no async function, and would block every conversation while it sends: "
                "write `async def send(conversation, text, key)`"
            )
        try:
            inspect.signature(send).bind("", None, "")
        except TypeError:
            raise HandoffUsageError(
                f"{_named(send)} must take (conversation, text, key): the id, a SendToCustomer, and its idempotency key"
            ) from None
        self._send = send
        self._reaches = reaches

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        """Call the host's function."""
        await self._send(conversation, text, key)

    def reaches(self, conversation: str) -> bool:
        """Ask the host's other function, where it gave one."""
        return self._reaches is None or self._reaches(conversation)


class HostChannel:
    """The host sends: texts stay open in the outbox until it says that they are delivered. This is what no channel means."""

    kind: Literal["push", "host", "inline"] = "host"

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        """Refuse: nobody but the host sends."""
        raise HandoffUsageError(f"{key}: texts are the host's to send where there is no channel")

    def reaches(self, conversation: str) -> bool:
        """The host reaches everybody whom it hands in."""
        return True


class InlineChannel:
    """Texts travel in the answer to the request that is being handled, as a webhook's do: delivered when that is written."""

    kind: Literal["push", "host", "inline"] = "inline"

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        """Refuse: whoever writes the answer sends."""
        raise HandoffUsageError(f"{key}: an inline channel's texts travel in the answer to the request, nobody sends them")

    def reaches(self, conversation: str) -> bool:
        """Whoever is being answered can be reached."""
        return True


def as_channel(value: Channel | Send | None) -> Channel:
    """Return a channel: the value itself, one that calls it, or for None the host's own.

    Raises:
        HandoffUsageError: it is neither a channel nor an async function.
    """
    if value is None:
        return HostChannel()
    if isinstance(value, type):
        raise HandoffUsageError(f"{value.__name__} is a class: give a channel, such as {value.__name__}()")
    if isinstance(value, Channel):
        if not _is_async(value.send):
            raise HandoffUsageError(f"{_named(value)}: its `send` is no async method: write `async def send`")
        return value
    if callable(value):
        return CallableChannel(value)
    raise HandoffUsageError(f"{_named(value)} is no channel: give an async function, or an object with kind, send and reaches")


def _is_async(value: Any) -> bool:
    return inspect.iscoroutinefunction(value) or inspect.iscoroutinefunction(getattr(value, "__call__", None))  # noqa: B004


def _named(value: Any) -> str:
    return getattr(value, "__qualname__", None) or type(value).__name__
