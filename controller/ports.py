"""Everything that touches the world, as roles. An adapter is one class that plays one role; `testing` has a suite a role.

Every method that is given a `key` may be called again with the same key: after a crash, or where an answer was lost. It must then
do nothing twice. An adapter raises `Unavailable` where a later attempt may work, and `Rejected` where none will; anything else
that it raises counts as `Unavailable`.
"""

from collections.abc import AsyncIterator, Callable, Collection, Sequence
from datetime import datetime
from typing import Any, Literal, Protocol, runtime_checkable

from handoff_kit.machines import Agent, AiTurn, Conversation, Event, Policy
from handoff_kit.machines.contracts import Payload
from handoff_kit.machines.effects import AskBot, DraftForAgent, Effect, NotifyAgents, PrepareContext, ResumeBot, SendToCustomer
from handoff_kit.machines.values import Prediction

from .records import Commit, Delivery, Line, Remembered, Settled

__all__ = ["Bot", "Channel", "Clock", "Desk", "Notifier", "Predictor", "Redactor", "Store", "Summarizer"]


@runtime_checkable
class Clock(Protocol):
    """The time, and the only way to wait for it."""

    def now(self) -> datetime:
        """Return the time, aware, in UTC."""

    async def sleep_until(self, at: datetime) -> None:
        """Return once it is `at` or later; at once where it is already."""


@runtime_checkable
class Store(Protocol):
    """Where conversations live. All methods may be called by many tasks at once.

    A store knows nothing of rules: it keeps what it is given, checks versions, and hands out what is owed.
    """

    async def open(self) -> None:
        """Make it ready; raises `StoreTooNew`, `StoreCorrupt` or `StoreLocked`."""

    async def close(self) -> None:
        """Bring everything to rest; nothing is lost without it."""

    async def load(self, conversation: str) -> Conversation | None:
        """Return a conversation's snapshot; None if there is none."""

    async def load_agent(self, agent: str) -> Agent | None:
        """Return an agent's snapshot; None if there is none."""

    async def successor(self, conversation: str) -> str | None:
        """Return the conversation that continues a closed one; None if none does."""

    async def recall(self, conversation: str, id: str) -> Remembered | None:
        """Return the first outcome of an event's id; None if it is new."""

    async def commit(self, commit: Commit) -> None:
        """Write all of it or nothing; it is durable once this returns.

        Steps must be those that `handoff_kit.machines` decided under a policy that was put here before: a store may keep events
        alone and decide them again.

        Raises:
            VersionConflict: a stream stands at another version, or an id is remembered already; nothing was written.
            StoreError: nothing was written.
        """

    async def put_policy(self, policy: Policy) -> None:
        """Keep a policy under its fingerprint."""

    async def policy(self, fingerprint: str) -> Policy | None:
        """Return the policy of a fingerprint."""

    async def policies(self) -> list[Policy]:
        """Return all policies that were kept."""

    async def due(self, at: datetime, limit: int) -> list[str]:
        """Return conversations with a timer that is due by `at`, the earliest first."""

    async def next_due(self) -> datetime | None:
        """Return when the next timer is due; None where none is owed."""

    async def claim(
        self,
        port: str,
        at: datetime,
        *,
        limit: int,
        by: str,
        until: datetime,
        reaches: Callable[[str], bool] | None = None,
        conversation: str | None = None,
    ) -> list[Delivery]:
        """Claim deliveries of a port that are due by `at`, in order; of one conversation only its first open one.

        In the same transaction an AI's text whose epoch is older than the one at which a person last took the reply is marked
        `held`: it must not be sent.

        Args:
            by: who claims.
            until: after this time anybody may claim them again.
            reaches: whether a conversation can be reached from here.
            conversation: only of this one, and then all of its open ones in order.
        """

    async def settle(self, settled: Sequence[Settled]) -> None:
        """Say what became of claimed deliveries; a key that is not known is passed over, as is somebody else's failure."""

    async def next_delivery(self, port: str) -> datetime | None:
        """Return when the next delivery of a port may be claimed; None where none is owed."""

    async def deliveries(
        self,
        *,
        port: str | None = None,
        conversation: str | None = None,
        status: Literal["pending", "sending", "dead"] | None = None,
        limit: int = 1000,
    ) -> list[Delivery]:
        """Return open deliveries and dead letters, oldest first."""

    async def revive(self, keys: Collection[str], at: datetime) -> list[str]:
        """Let dead letters be tried again from `at`; return the keys that were dead letters."""

    async def drop(self, keys: Collection[str]) -> list[str]:
        """Forget dead letters; return the keys that were dead letters."""

    async def port_of(self, key: str) -> str | None:
        """Return the port to which the effect of a key was owed, delivered by now or not; None where the key is none of ours."""

    def history(self, conversation: str | None = None) -> AsyncIterator[Line]:
        """Yield conversations' accepted events with their recorded steps, in the order in which they were written.

        An event's `seq` is the version after it; agents' own steps are not among them.
        """

    def declined(self, conversation: str | None = None) -> AsyncIterator[dict[str, Any]]:
        """Yield refused events, in the order in which they came.

        Each has `event` (JSON data), `at` (a time), `version`, `name` and `facts`.
        """

    async def forget_ids(self, before: datetime) -> int:
        """Forget event ids of closed conversations whose last step was before a time; return how many."""


@runtime_checkable
class Channel(Protocol):
    """Where customers read.

    `kind` is `push` where we send, `host` where the host sends what `Outcome.owed` holds, and `inline` where texts travel in the
    answer to the request that is being handled.
    """

    kind: Literal["push", "host", "inline"]

    async def send(self, conversation: str, text: SendToCustomer, key: str) -> None:
        """Send a text to the customer."""

    def reaches(self, conversation: str) -> bool:
        """Whether this process can reach the customer of a conversation."""


@runtime_checkable
class Bot(Protocol):
    """The AI. A turn's `epoch` and `in_reply_to` are those that it was asked with; left out, they are filled in."""

    async def turn(self, conversation: Conversation, ask: AskBot, key: str) -> AiTurn | None:
        """Return the AI's turn on the customer's message; None where it comes as an event of its own."""

    async def resume(self, conversation: Conversation, resume: ResumeBot, key: str) -> AiTurn | None:
        """Give the AI the floor with its contract; return its first turn, or None where that comes as an event of its own."""

    async def draft(self, conversation: Conversation, ask: DraftForAgent, key: str) -> str | None:
        """Return a draft for the agent; None for none."""

    async def end(self, conversation: str, reason: str, key: str) -> None:
        """End the AI's own session."""


@runtime_checkable
class Desk(Protocol):
    """Where people work. `name` stands in ticket events."""

    name: str

    async def open(self, conversation: str, queue: str, payload: Payload, key: str) -> str | None:
        """Open what the desk has for a handoff, with its context; return the desk's own handle of it.

        Called again with the same key it returns the handle of what it opened before, and opens nothing.
        """

    async def perform(self, conversation: str, effect: Effect, key: str) -> None:
        """Do what another effect asks for: update, close, relay, ring, stop ringing, fill the console.

        Effects of a ticket carry its handle once it is known; the others name the conversation alone.
        """


@runtime_checkable
class Notifier(Protocol):
    """What makes a noise at agents and supervisors."""

    async def notify(self, conversation: str, notice: NotifyAgents, key: str) -> None:
        """Make the noise."""


@runtime_checkable
class Summarizer(Protocol):
    """Who gathers the context for the person."""

    async def summarize(
        self, conversation: Conversation, wanted: PrepareContext, key: str
    ) -> tuple[str | None, dict[str, Any]] | None:
        """Return a summary (None: one is composed by rule) and facts; None where `context_ready` comes as an event of its own."""


@runtime_checkable
class Predictor(Protocol):
    """Who predicts the customer's frustration, before a turn is decided."""

    async def predict(self, conversation: Conversation, turn: AiTurn) -> Prediction | None:
        """Return a prediction for the turn; None where there is none."""


@runtime_checkable
class Redactor(Protocol):
    """Who takes out what must not be stored, before anything is decided: guards, log and outbox see one text."""

    def redact(self, event: Event) -> Event:
        """Return the event without it."""
