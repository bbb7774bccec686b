"""The slate of one step: what guards read, and what callbacks write to.

It lives for one step. Callbacks change the draft and add effects; nothing is performed. What may not go in here: rules of
particular events (in `guards` and `actions`), what is owed when (in `timers`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .contracts import Payload
from .conversation import Conversation, Draft, Message, Timer, drafted
from .effects import Effect, NotifyAgents, SendToCustomer, Speaker, UpdateTicket
from .engine import Slate as EngineSlate
from .events import Event
from .payload import compile_payload, destination_of, may_leave
from .policy import Policy
from .refusals import Refusal
from .states import owner_of
from .triggers import Judged, failed_guard, judge
from .values import Attachment, Json, QueueFacts
from .verdicts import Verdict

__all__ = ["Slate"]


class Slate(EngineSlate):
    """One step in the making.

    Attributes:
        event: typed as Any, since each row's callbacks know which class their event has.
        recorded: triggers' verdicts by name that are taken as they are, where an event's fields were erased.
        at: the event's time, or the conversation's last where that is later.
        timer: the owed timer that fired, as the fence found it.
        c: the draft.
    """

    __slots__ = ("_judged", "at", "before", "broken", "c", "effects", "event", "policy", "recorded", "refused", "timer")

    def __init__(
        self,
        policy: Policy,
        before: Conversation,
        event: Event,
        at: datetime,
        recorded: Mapping[str, Verdict] | None = None,
        broken: Verdict | None = None,
    ) -> None:
        # Not by super().__init__: a slate is made for every event, and the call is a visible part of that.
        self.state = before.state.value
        self.verdicts = []
        self._asked = {}
        self.recorded = recorded
        self.policy = policy
        self.before = before
        self.event: Any = event
        self.at = at
        self.broken = broken
        self.c: Draft = drafted(before)
        self.timer: Timer | None = None
        self.effects: list[Effect] = []
        self.refused: Refusal | None = None
        self._judged: Judged | None = None

    # --- for guards

    @property
    def judged(self) -> Judged:
        """What the triggers say; they are judged once a step, and their verdicts are taken down."""
        if self._judged is None:
            if self.broken is not None:
                self._judged = failed_guard(self.policy, self.broken)
            else:
                self._judged = judge(self.policy, self.before, self.event, self.at, self.recorded)
            self.verdicts.extend(self._judged.verdicts)
        return self._judged

    def facts_of(self, queue: str) -> QueueFacts | None:
        """Return what the event carries of a queue, else what was last seen of it while the conversation waits there."""
        observed = self.event.observed
        if observed is not None and queue in observed.queues:
            found: QueueFacts = observed.queues[queue]
            return found
        return self.c.waiting.seen if self.c.waiting is not None else None

    @property
    def has_leave(self) -> bool:
        """Whether the AI may help while the customer waits."""
        handoff = self.c.handoff
        return handoff is not None and self.policy.queue_named(handoff.queue).keep_helping

    # --- for callbacks

    @property
    def epoch(self) -> int:
        """The epoch after this step, as far as the step has come."""
        return self.before.epoch + (owner_of(self.state, self.c.agent) != self.before.owner)

    def refuse(self, name: str, **facts: Json) -> None:
        """Take down that the event is refused; nothing else of the step counts then."""
        self.refused = Refusal(name, facts)

    def add(self, effect: Effect) -> None:
        """Ask the shell for something."""
        self.effects.append(effect)

    def send(
        self,
        speaker: Speaker,
        text: str,
        kind: str = "reply",
        agent: str | None = None,
        attachments: tuple[Attachment, ...] = (),
    ) -> None:
        """Send a text to the customer under the epoch after this step."""
        self.effects.append(SendToCustomer(speaker, text, self.epoch, kind, agent, attachments))

    def say(self, name: str, **values: str) -> str:
        """Send one of the policy's texts, and return it; an empty one is not sent."""
        text = self.policy.text(name, self.c.customer.locale)
        for key, value in values.items():
            text = text.replace(f"{{{key}}}", value)
        if text:
            self.send("system", text, name)
        return text

    def remember(self, speaker: str, text: str, attachments: tuple[Attachment, ...] = ()) -> None:
        """Keep a line of the transcript, as many as the policy lets travel."""
        window = self.policy.context.messages
        lines = (*self.c.messages, Message(speaker, text, self.at, attachments))
        self.c.messages = lines[-window:] if window else ()

    def may_tell(self, field: str) -> bool:
        """Whether a field of the payload may leave to where the present handoff goes."""
        handoff = self.c.handoff
        return handoff is None or may_leave(destination_of(self.policy, handoff.queue, handoff.tier), field)

    def payload(self) -> Payload:
        """Return the payload of the present handoff for its destination."""
        handoff = self.c.handoff
        assert handoff is not None
        return compile_payload(self.policy, self.c, handoff, handoff.queue, handoff.tier)

    def reasons(self) -> list[str]:
        """Return the handoff's reasons, as far as they may leave to where the handoff, or a waiting transfer of it, goes."""
        handoff, held = self.c.handoff, self.c.held
        assert handoff is not None
        to = held.transfer if held is not None and held.transfer is not None else handoff
        told = may_leave(destination_of(self.policy, to.queue, to.tier), "auto_escalated_due_to")
        return list(handoff.reasons) if told else []

    def notify(self, audience: str, about: str, **facts: Json) -> None:
        """Make a noise at agents."""
        self.effects.append(NotifyAgents(audience, about, facts))

    def update_ticket(self, what: str, *, anew: bool = False, **facts: Json) -> None:
        """Tell the desk, if this handoff has a ticket there or is about to.

        Args:
            anew: send the payload again, since there is more to know; by the rule under which the ticket was opened.
        """
        handoff = self.c.handoff
        for ticket in self.c.tickets:
            if handoff is not None and ticket.handoff == handoff.number and ticket.status != "failed":
                payload = compile_payload(self.policy, self.c, handoff, ticket.queue, ticket.tier) if anew else None
                self.effects.append(UpdateTicket(ticket.handoff, what, ticket.desk, ticket.ticket, facts, payload))
