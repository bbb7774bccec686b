"""The payload: what the person who takes over receives, and what of it may leave to whom.

It is compiled for one destination. The policy lists the fields that may leave (`[[destination]]`); all else is withheld and named
in the manifest with the rule. Payloads and summaries are made here and nowhere else. What may not go in here: when they are sent.

A written summary (the AI's, the desk's) is free text and may repeat anything the customer said: it leaves only where both
`summary` and `messages` may. Elsewhere the summary is composed by rule out of the fields that may leave.
"""

import functools
from collections.abc import Mapping
from typing import Any

import attrs

from .canonical import rfc3339
from .contracts import Manifest, Payload, Withheld
from .conversation import Draft, Handoff, Message
from .destinations import Destination
from .evolve import evolve
from .policy import Policy
from .values import EMPTY, Json

__all__ = ["compile_payload", "console_of", "destination_of", "line_for", "may_leave", "summary_for"]

#: The destination that texts to the customer are compiled for.
CUSTOMER = "customer"

_LINE = 160  # characters of the customer's last line in a summary; chosen by us, since a summary must fit a notification


#: What a customer is told where the policy does not say: never what somebody wrote for an agent's eyes.
_TOLD_TO_CUSTOMERS = Destination(
    name=CUSTOMER, purpose="transparency", fields=("summary", "intent", "failed_action.name", "failed_action.error_code")
)


def destination_of(policy: Policy, queue: str, tier: str) -> Destination | None:
    """Return the rule for a handoff: the destination named as its queue, else as its tier, else `default`."""
    if not policy.destination:
        return None
    for name in (queue, tier, "default"):
        found = policy.destination_named(name)
        if found is not None:
            return found
    return None


def compile_payload(policy: Policy, conversation: Draft, handoff: Handoff, queue: str, tier: str) -> Payload:
    """Return the payload of a handoff for the destination of a queue and tier; without a rule for it everything may leave."""
    rule = destination_of(policy, queue, tier)
    known = _known(conversation, handoff)
    missing = tuple(name for name in policy.context.entities if name not in conversation.entities)
    data, manifest = _allowed(known, rule, queue, missing)
    manifest = _with_summary(conversation, handoff, data, rule, manifest)
    return Payload(
        conversation=conversation.id,
        handoff=handoff.number,
        queue=handoff.queue,
        tier=handoff.tier,
        manifest=manifest,
        **data,
    )


def _with_summary(c: Draft, handoff: Handoff, data: dict[str, Any], rule: Destination | None, manifest: Manifest) -> Manifest:
    """Add the summary to the data as far as it may leave, and return the manifest that says so."""
    if rule is not None and not may_leave(rule, "summary"):
        return evolve(manifest, withheld=(*manifest.withheld, Withheld("summary", _reason(rule))))
    summary = _summary(c, handoff, data, rule)
    if not summary:
        return manifest
    data["summary"] = summary
    manifest = evolve(manifest, sent=(*manifest.sent, "summary"))
    if _written(c, handoff) and not may_leave(rule, "messages"):
        reason = "free text leaves only where messages may; this one is composed by rule"
        manifest = evolve(manifest, withheld=(*manifest.withheld, Withheld("summary as written", reason)))
    return manifest


def console_of(policy: Policy, conversation: Draft, handoff: Handoff) -> dict[str, Mapping[str, Json]]:
    """Return what fills the owner's console, as far as it may leave: `customer`, `failed_action`, `entities`."""
    reading = conversation.reading
    known: dict[str, Json] = {"customer": _plain(conversation.customer), "entities": conversation.entities}
    if reading is not None and reading.failed_action is not None:
        known["failed_action"] = _plain(reading.failed_action)
    rule = destination_of(policy, handoff.queue, handoff.tier)
    return _allowed(known, rule, handoff.queue, ())[0] if rule is not None else known


def line_for(policy: Policy, handoff: Handoff, text: str) -> str | None:
    """Return a customer's line as it may reach the desk while nobody owns it; None where messages may not leave."""
    rule = destination_of(policy, handoff.queue, handoff.tier)
    if not may_leave(rule, "messages"):
        return None
    return _cut(text, rule.text_at_most) if rule is not None and rule.text_at_most is not None else text


def summary_for(policy: Policy, conversation: Draft) -> str:
    """Return the summary for the customer, as `{summary}` in texts; empty where nothing of it may be told."""
    rule = policy.destination_named(CUSTOMER) or _TOLD_TO_CUSTOMERS
    if not may_leave(rule, "summary"):
        return ""
    handoff = conversation.handoff
    assert handoff is not None
    data, _ = _allowed(_known(conversation, handoff), rule, CUSTOMER, ())
    return _summary(conversation, handoff, data, rule)


# --- what is known


def _known(c: Draft, handoff: Handoff) -> dict[str, Json]:
    reading = c.reading
    known: dict[str, Json] = {
        "channel": c.channel,
        "customer": _plain(c.customer),
        "messages": tuple([_message(one) for one in c.messages]),
        "entities": dict(c.entities),
        "facts": dict(handoff.facts),
        "auto_escalated_due_to": handoff.reasons,
        "priority": handoff.priority,
        "skills": handoff.skills,
        "wish": handoff.wish,
        "sentiments": c.sentiments,
        "links": {
            **({"previous": c.previous} if c.previous is not None else {}),
            **({"linked": list(c.linked)} if c.linked else {}),
        },
    }
    if reading is not None:
        known |= {
            "intent": reading.intent,
            "confidence": reading.confidence,
            "sentiment": reading.sentiment,
            "attributes": dict(reading.attributes),
            "actions": tuple([_plain(action) for action in reading.actions]),
            "failed_action": _plain(reading.failed_action) if reading.failed_action is not None else {},
        }
    return {name: value for name, value in known.items() if value not in (None, (), {})}


def _message(message: Message) -> dict[str, Json]:
    data: dict[str, Json] = {"speaker": message.speaker, "text": message.text, "at": rfc3339(message.at)}
    if message.attachments:
        data["attachments"] = [_plain(one) for one in message.attachments]
    return data


def _plain(value: Any) -> dict[str, Json]:
    """Return an attrs value as a map, without what is unknown or empty."""
    return {name: inner for name in _names(value.__class__) if (inner := getattr(value, name)) is not None and inner != {}}


@functools.cache
def _names(cls: type) -> tuple[str, ...]:
    return tuple(field.name for field in attrs.fields(cls))


# --- what may leave


def may_leave(rule: Destination | None, *path: str) -> bool:
    """Whether a field, or all that it lies in, is on the destination's list; without a rule everything is.

    A path is compared part by part, so that a name with a dot in it is not taken for a field inside another.
    """
    return rule is None or any(path[: end + 1] in rule.paths for end in range(len(path)))


def _allowed(
    known: dict[str, Json], rule: Destination | None, name: str, missing: tuple[str, ...]
) -> tuple[dict[str, Any], Manifest]:
    if rule is None:
        return dict(known), Manifest(name, sent=tuple(known), missing=missing)
    sent: list[str] = []
    withheld: list[Withheld] = []
    data: dict[str, Any] = {}
    reason = _reason(rule)
    for path, value in known.items():
        if may_leave(rule, path):
            data[path] = value
            sent.append(path)
        elif isinstance(value, dict):
            kept = _pruned(value, (path,), rule, sent, withheld, reason)
            if kept:
                data[path] = kept
        else:
            withheld.append(Withheld(path, reason))
    shown = tuple(entity for entity in missing if may_leave(rule, "entities", entity))
    return data, Manifest(rule.name, rule.purpose, tuple(sent), tuple(withheld), _trim(data, rule), shown)


def _reason(rule: Destination) -> str:
    return f"not among the fields of {rule.name}{f' ({rule.purpose})' if rule.purpose else ''}"


def _pruned(
    value: Mapping[str, Json],
    path: tuple[str, ...],
    rule: Destination,
    sent: list[str],
    withheld: list[Withheld],
    reason: str,
) -> dict[str, Json]:
    kept: dict[str, Json] = {}
    for name in sorted(value):  # the order of a map's keys is nobody's decision, and does not survive a store
        inner = value[name]
        place = (*path, name)
        if may_leave(rule, *place):
            kept[name] = inner
            sent.append(".".join(place))
        elif isinstance(inner, Mapping) and inner:
            deeper = _pruned(inner, place, rule, sent, withheld, reason)
            if deeper:
                kept[name] = deeper
        else:
            withheld.append(Withheld(".".join(place), reason))
    return kept


def _trim(data: dict[str, Any], rule: Destination) -> tuple[str, ...]:
    """Cut to the destination's limits, and say what was cut."""
    notes = []
    messages = data.get("messages", ())
    most = rule.messages_at_most
    if most is not None and len(messages) > most:
        notes.append(f"messages: the last {most} of {len(messages)}")
        messages = messages[len(messages) - most :]
    longest = rule.text_at_most
    if longest is not None:
        cut = sum(len(one["text"]) > longest for one in messages)
        if cut:
            notes.append(f"messages.text: {cut} cut to {longest} characters")
            messages = tuple([{**one, "text": _cut(one["text"], longest)} for one in messages])
    if "messages" in data:
        data["messages"] = messages
    return tuple(notes)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _written(c: Draft, handoff: Handoff) -> str | None:
    """Return the summary that the desk or the AI wrote."""
    return handoff.summary or (c.reading.summary if c.reading is not None else None)


def _summary(c: Draft, handoff: Handoff, data: Mapping[str, Any], rule: Destination | None) -> str:
    """Return the written summary where free text may leave, else one composed out of what may."""
    written = _written(c, handoff)
    longest = rule.text_at_most if rule is not None and rule.text_at_most is not None else None
    if written and may_leave(rule, "messages"):
        return _cut(written, longest) if longest is not None else written
    parts = []
    if data.get("intent"):
        parts.append(f"About: {data['intent'].replace('_', ' ')}.")
    failed = data.get("failed_action", EMPTY)
    if failed.get("name"):
        code = f" ({failed['error_code']})" if failed.get("error_code") else ""
        parts.append(f"Failed: {failed['name']}{code}.")
    lines = [one["text"] for one in data.get("messages", ()) if one["speaker"] == "customer" and one["text"]]
    if lines:
        parts.append(f"Last message: “{_cut(lines[-1], _LINE)}”")
    composed = " ".join(parts)
    return _cut(composed, longest) if longest is not None else composed
