"""Adapters that live in memory, show what they were asked, and fail when they are told to.

They keep what the ports promise (the same key does nothing twice), so that a test may also use them as they are: a desk and a bot
for a demo. What may not go in here: decisions, time.
"""

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import Any, Literal

import attrs

from handoff_kit.machines import AiTurn, Conversation
from handoff_kit.machines.contracts import Payload
from handoff_kit.machines.effects import AskBot, DraftForAgent, Effect, NotifyAgents, ResumeBot, SendToCustomer

from ..errors import Rejected, Unavailable

__all__ = ["Call", "Ended", "MemoryChannel", "MemoryDesk", "MemoryNotifier", "Opened", "ScriptedBot", "Sent"]


@attrs.frozen
class Sent:
    """A text that reached the customer."""

    conversation: str
    text: SendToCustomer
    key: str


@attrs.frozen
class Call:
    """An effect that was performed."""

    conversation: str
    effect: Effect
    key: str


@attrs.frozen
class Opened:
    """What a desk opened for a handoff."""

    conversation: str
    queue: str
    payload: Payload
    handle: str


@attrs.frozen
class Ended:
    """The end of an AI's own session."""

    conversation: str
    reason: str
    key: str


class _Scripted:
    """What all fakes share: failures and silence as a test wants them.

    Attributes:
        calls: the key of every call, failed and repeated ones too, in order.
    """

    def __init__(self) -> None:
        self.calls: list[str] = []
        self._failures: list[tuple[Exception, bool]] = []
        self._gate: asyncio.Event | None = None
        self._done: set[str] = set()

    def fails(self, times: int = 1, error: Exception | None = None, *, after: bool = False) -> None:
        """Let the next calls fail.

        Args:
            times: how many of them.
            error: what they raise; `Unavailable` if not given.
            after: the work is done first, and only the answer is lost.
        """
        self._failures += [(error or Unavailable("out of order, as the test says"), after)] * times

    def rejects(self, times: int = 1, message: str = "declined, as the test says") -> None:
        """Let the next calls fail for good, with `Rejected`."""
        self.fails(times, Rejected(message))

    def hangs(self) -> None:
        """Let every call wait until `release`."""
        self._gate = asyncio.Event()

    def release(self) -> None:
        """Let those go on that wait."""
        if self._gate is not None:
            self._gate.set()
            self._gate = None

    async def _begin(self, key: str) -> Exception | None:
        """Begin a call: raise what it fails with, or return what is to be raised once the work is done."""
        self.calls.append(key)
        if self._gate is not None:
            await self._gate.wait()
        if not self._failures:
            return None
        error, after = self._failures.pop(0)
        if not after:
            raise error
        return error

    def _is_new(self, key: str) -> bool:
        """Whether the work of a key is still to be done; it counts as done from here on."""
        if key in self._done:
            return False
        self._done.add(key)
        return True


def _end(lost: Exception | None) -> None:
    if lost is not None:
        raise lost


class MemoryChannel(_Scripted):
    """A customer who reads everything.

    Attributes:
        sent: what the customer read, in order, each key once.
        unreachable: conversations whose customer this process cannot reach.
    """

    kind: Literal["push", "host", "inline"] = "push"

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[Sent] = []
        self.unreachable: set[str] = set()

    def texts(self, conversation: str | None = None) -> list[str]:
        """Return the words that a customer read; of all conversations where none is named."""
        return [one.text.text for one in self.sent if conversation in (None, one.conversation)]

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        """Let the customer read it."""
        lost = await self._begin(key)
        if self._is_new(key):
            self.sent.append(Sent(conversation, text, key))
        _end(lost)

    def reaches(self, conversation: str) -> bool:
        """Whether the conversation is not among the unreachable ones."""
        return conversation not in self.unreachable


class MemoryDesk(_Scripted):
    """A desk that keeps everything in two lists.

    Attributes:
        tickets: what was opened, by the key under which it was asked for.
        log: the other effects, in the order in which they were performed, each key once.
    """

    def __init__(self, name: str = "memory") -> None:
        super().__init__()
        self.name = name
        self.tickets: dict[str, Opened] = {}
        self.log: list[Call] = []

    def performed(self, kind: type[Effect]) -> list[Any]:
        """Return the performed effects of one class."""
        return [one.effect for one in self.log if isinstance(one.effect, kind)]

    async def open(self, conversation: str, queue: str, payload: Payload, key: str) -> str | None:
        """Open a ticket, and number it."""
        lost = await self._begin(key)
        if key not in self.tickets:
            self.tickets[key] = Opened(conversation, queue, payload, f"T-{len(self.tickets) + 1}")
        _end(lost)
        return self.tickets[key].handle

    async def perform(self, conversation: str, effect: Effect, key: str) -> None:
        """Write it to the log."""
        lost = await self._begin(key)
        if self._is_new(key):
            self.log.append(Call(conversation, effect, key))
        _end(lost)


class MemoryNotifier(_Scripted):
    """Makes no noise, and remembers what it would have been about.

    Attributes:
        notices: each key once, in order.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notices: list[Call] = []

    async def notify(self, conversation: str, notice: NotifyAgents, key: str) -> None:
        """Remember the notice."""
        lost = await self._begin(key)
        if self._is_new(key):
            self.notices.append(Call(conversation, notice, key))
        _end(lost)


#: One scripted turn: its fields, a reply alone, a whole turn, or None for silence.
Turn = Mapping[str, Any] | str | AiTurn | None
#: Turns in order, turns by the customer's last message, or a function of (conversation, effect).
Script = Iterable[Turn] | Mapping[str, Turn] | Callable[[Conversation, Any], Turn | Awaitable[Turn]]


class ScriptedBot(_Scripted):
    """An AI that says what it was told to say.

    A script is a list of turns in order (and then silence), a map from the customer's last message to the turn (any other
    message is a miss), or a function `(conversation, effect) -> turn`. A turn is the fields of an `AiTurn`, a string that is
    its reply, or None where the AI stays silent; its epoch and the message that it answers are filled in.

    Args:
        turns: what it answers to the customer.
        resumed: what it says when it gets the floor back; silent if not given.
        drafts: what it drafts for agents; nothing if not given.

    Attributes:
        asks, resumes, drafts: what it was asked, each key once, in order.
        ended: the sessions that were ended.
    """

    def __init__(self, turns: Script = (), *, resumed: Script = (), drafts: Script = ()) -> None:
        super().__init__()
        self._turns = _player(turns)
        self._resumed = _player(resumed)
        self._drafted = _player(drafts)
        self._answers: dict[str, Turn] = {}
        self.asks: list[Call] = []
        self.resumes: list[Call] = []
        self.drafts: list[Call] = []
        self.ended: list[Ended] = []

    async def turn(self, conversation: Conversation, ask: AskBot, key: str) -> AiTurn | None:
        """Return the next scripted turn; for the same key the same one."""
        found = await self._play(self._turns, self.asks, conversation, ask, key)
        return _turn(found, conversation.id, epoch=ask.epoch, in_reply_to=ask.in_reply_to)

    async def resume(self, conversation: Conversation, resume: ResumeBot, key: str) -> AiTurn | None:
        """Return what was scripted for a return."""
        found = await self._play(self._resumed, self.resumes, conversation, resume, key)
        return _turn(found, conversation.id, epoch=resume.epoch)

    async def draft(self, conversation: Conversation, ask: DraftForAgent, key: str) -> str | None:
        """Return the next scripted draft."""
        found = await self._play(self._drafted, self.drafts, conversation, ask, key)
        if isinstance(found, AiTurn | Mapping):
            raise TypeError(f"a scripted draft is a string or None, not {found!r}")
        return found

    async def end(self, conversation: str, reason: str, key: str) -> None:
        """Remember the end."""
        lost = await self._begin(key)
        if self._is_new(key):
            self.ended.append(Ended(conversation, reason, key))
        _end(lost)

    async def _play(self, player: "_Player", log: list[Call], conversation: Conversation, effect: Effect, key: str) -> Turn:
        lost = await self._begin(key)
        if key not in self._answers:
            log.append(Call(conversation.id, effect, key))
            answer = player(conversation, effect)
            self._answers[key] = await answer if inspect.isawaitable(answer) else answer
        _end(lost)
        return self._answers[key]


_Player = Callable[[Conversation, Any], Any]


def _player(script: Script) -> _Player:
    if callable(script):
        return script
    if isinstance(script, Mapping):
        by_text: Mapping[str, Turn] = script
        return lambda conversation, _: by_text.get(_last_words(conversation), {"missed": True})
    if isinstance(script, str):
        raise TypeError(f"a script is a list of turns, not the one turn {script!r}: write [{script!r}]")
    turns: Iterator[Turn] = iter(script)
    return lambda _, __: next(turns, None)


def _last_words(conversation: Conversation) -> str:
    return next((one.text for one in reversed(conversation.messages) if one.speaker == "customer"), "")


def _turn(found: Turn, conversation: str, **given: Any) -> AiTurn | None:
    if found is None or isinstance(found, AiTurn):
        return found
    fields = {"reply": found} if isinstance(found, str) else dict(found)
    return AiTurn(**{"conversation": conversation, **given, **fields})
