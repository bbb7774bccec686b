"""What crosses a handoff: the payload to the person, and the resume contract back to the AI. Values only.

What may not go in here: how a payload is compiled (`payload`), when either is sent (`actions`).
"""

from collections.abc import Mapping
from datetime import datetime

import attrs

from .values import EMPTY, FailedAction, Json

__all__ = ["PAYLOAD_VERSION", "Manifest", "Payload", "ResumeContract", "Withheld"]

#: The version of the payload's schema that this library writes.
PAYLOAD_VERSION = 1


@attrs.frozen(weakref_slot=False)
class Withheld:
    """A field that was known and did not leave, and the rule that kept it."""

    field: str
    rule: str


@attrs.frozen(weakref_slot=False)
class Manifest:
    """What was sent, withheld, trimmed and missing.

    Args:
        destination, purpose: for whom, for what; empty where the policy has no rule for the destination.
        sent: the fields that left.
        withheld: those that were known and did not.
        trimmed: notes on what was cut to the destination's limits.
        missing: entities that the policy wants to travel and that are not known.
    """

    destination: str
    purpose: str = ""
    sent: tuple[str, ...] = ()
    withheld: tuple[Withheld, ...] = ()
    trimmed: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, weakref_slot=False)
class Payload:
    """What a person needs in order to take over. Absent fields are unknown or withheld; the manifest says which.

    Args:
        customer: `id`, `tier`, `locale`, `lifetime_value`, `attributes`.
        messages: the transcript's tail: `speaker`, `text`, `at`, `attachments` by reference.
        confidence: of the intent, 0..1.
        sentiment, sentiments: of the last AI turn and the trajectory over the last ones, -1..1.
        actions: what the AI already did: `name`, `parameters`, `status`, `result`.
        failed_action: `name`, `parameters`, `error_code`, `message`.
        auto_escalated_due_to: the reasons, the deciding one first.
        priority: 0 (lowest) .. 9.
        wish: the agent who was asked for by name.
        links: `previous`, `linked`.
    """

    version: int = PAYLOAD_VERSION
    conversation: str
    handoff: int
    queue: str
    tier: str
    channel: str | None = None
    customer: Mapping[str, Json] = EMPTY
    summary: str | None = None
    messages: tuple[Mapping[str, Json], ...] = ()
    intent: str | None = None
    confidence: float | None = None
    sentiment: float | None = None
    sentiments: tuple[float | None, ...] = ()
    entities: Mapping[str, Json] = EMPTY
    attributes: Mapping[str, Json] = EMPTY
    actions: tuple[Mapping[str, Json], ...] = ()
    failed_action: Mapping[str, Json] = EMPTY
    facts: Mapping[str, Json] = EMPTY
    auto_escalated_due_to: tuple[str, ...] = ()
    priority: int | None = None
    skills: tuple[str, ...] = ()
    wish: str | None = None
    links: Mapping[str, Json] = EMPTY
    manifest: Manifest


@attrs.frozen(weakref_slot=False)
class ResumeContract:
    """What the AI must know when the floor comes back to it.

    Args:
        held_by: the agent who held it; None after an offload or a withdrawal, when no person did.
        held_s: for how long, in seconds.
        boundary: talk before this time no longer counts for triggers.
        offloaded: the item keeps its place in `queue`, and the AI tries meanwhile.
    """

    boundary: datetime
    held_by: str | None = None
    held_s: float = 0.0
    instruction: str | None = None
    facts: Mapping[str, Json] = EMPTY
    agreed: tuple[str, ...] = ()
    promises: tuple[str, ...] = ()
    failed_action: FailedAction | None = None
    offloaded: bool = False
    bot: str | None = None
