"""The suite of `Channel`. A subclass gives `make` and `received`; `breaks` and `unreachable` where it has them."""

import pytest

from handoff_kit.machines.effects import SendToCustomer

from ...errors import Unavailable
from ...ports import Channel
from .running import Contract, on_loop, raised
from .script import FILE

__all__ = ["ChannelContract"]


def text(words: str, speaker: str = "system") -> SendToCustomer:
    """Return a text."""
    agent = "a1" if speaker == "agent" else None
    return SendToCustomer(speaker=speaker, text=words, epoch=1, agent=agent)  # type: ignore[arg-type]


class ChannelContract(Contract[Channel]):
    """What every channel promises."""

    def received(self, channel: Channel) -> list[tuple[str, str]]:
        """Return what reached customers, (conversation, text) in order: look at the other side of the adapter."""
        raise NotImplementedError(f"{type(self).__name__}.received must return what reached customers")

    def breaks(self, channel: Channel) -> None:
        """Let the channel's next attempt fail as its outside does; leave it out where a test cannot do that."""
        pytest.skip("`breaks` is not given")

    def unreachable(self, channel: Channel) -> str:
        """Return a conversation whose customer cannot be reached from here; leave it out where there is none."""
        pytest.skip("`unreachable` is not given")

    @on_loop
    async def test_it_has_what_a_channel_has(self, channel: Channel) -> None:
        """All of the port is there."""
        assert isinstance(channel, Channel)
        assert channel.kind in ("push", "host", "inline")

    @on_loop
    async def test_texts_arrive_in_order(self, channel: Channel) -> None:
        """Whoever speaks."""
        _only_push(channel)
        for number, speaker in enumerate(("ai", "system", "agent")):
            await channel.send("c-1", text(f"text {number} “ä” \U0001f600", speaker), f"c-1:{number}:0")

        assert self.received(channel) == [("c-1", f"text {number} “ä” \U0001f600") for number in range(3)]

    @on_loop
    async def test_a_file_does_not_break_it(self, channel: Channel) -> None:
        """Attachments are references; a channel that cannot show files sends the text alone."""
        _only_push(channel)
        await channel.send("c-1", SendToCustomer(speaker="ai", text="look", epoch=0, attachments=(FILE,)), "c-1:2:0")

        assert [words for _, words in self.received(channel)][:1] == ["look"]

    @on_loop
    async def test_the_same_key_is_sent_once(self, channel: Channel) -> None:
        """Nobody knows whether the first attempt arrived; another key is another text, even with the same words."""
        _only_push(channel)
        for key in ("c-1:2:0", "c-1:2:0", "c-1:3:0", "c-1:2:0"):
            await channel.send("c-1", text("hello"), key)

        assert self.received(channel) == [("c-1", "hello")] * 2

    @on_loop
    async def test_it_fails_with_our_errors_and_can_be_asked_again(self, channel: Channel) -> None:
        """`Unavailable` where a later attempt may work, `Rejected` where none will."""
        _only_push(channel)
        self.breaks(channel)
        error = await raised(channel.send("c-1", text("hello"), "c-1:2:0"))
        if isinstance(error, Unavailable):
            assert error.retry_after_s is None or error.retry_after_s >= 0
            await channel.send("c-1", text("hello"), "c-1:2:0")
            assert self.received(channel) == [("c-1", "hello")]

    @on_loop
    async def test_it_says_whom_it_reaches(self, channel: Channel) -> None:
        """A plain answer, at once: it is asked for every conversation that is owed a text."""
        for conversation in ("c-1", "never heard of"):
            assert channel.reaches(conversation) in (True, False)

    @on_loop
    async def test_it_says_whom_it_does_not_reach(self, channel: Channel) -> None:
        """Another process holds that customer's connection."""
        assert channel.reaches(self.unreachable(channel)) is False


def _only_push(channel: Channel) -> None:
    if channel.kind != "push":
        pytest.skip(f"a channel of kind {channel.kind} sends nothing")
