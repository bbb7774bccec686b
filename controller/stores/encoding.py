"""Rows of the log as text, and back. One row is one commit, or what became of deliveries.

What may not go in here: SQL, decisions.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from handoff_kit.machines import Event, Step
from handoff_kit.machines.canonical import canonical, rfc3339
from handoff_kit.machines.codec import (
    agent_to_data,
    effect_from_data,
    event_from_data,
    event_to_data,
    step_text,
    verdict_from_data,
)
from handoff_kit.machines.refusals import Refusal

from ..records import Accepted, Commit, Declined, Delivery, Remembered, Settled

__all__ = [
    "commit_text",
    "declined_from_data",
    "delivery_from_data",
    "delivery_text",
    "remembered_from_data",
    "remembered_text",
    "settled_from_data",
    "settled_text",
    "time_from",
]


def time_from(text: str | None) -> datetime | None:
    """Return a time that `rfc3339` wrote."""
    return datetime.fromisoformat(text).astimezone(UTC) if text is not None else None


# --- commits


def commit_text(commit: Commit) -> str:
    """Return a commit as one row of the log.

    An accepted step is its event, its recorded step, and which of its effects are owed to the world; neither its snapshot nor its
    effects are written: the event makes them again.
    """
    parts = [f'"steps":[{",".join([_step_text(one) for one in commit.steps])}]']
    if commit.declined:
        parts.append(f'"declined":[{",".join([_declined_text(one) for one in commit.declined])}]')
    if commit.remembered:
        parts.append(f'"remembered":[{",".join([remembered_text(one) for one in commit.remembered])}]')
    if commit.continues is not None:
        parts.append(f'"continues":{json.dumps(list(commit.continues))}')
    return "{" + ",".join(parts) + "}"


def _step_text(one: Any) -> str:
    if not isinstance(one, Accepted):
        return json.dumps(
            {
                "agent": one.step.after.id,
                "expected": one.expected,
                "event": event_to_data(one.step.event),
                "snapshot": agent_to_data(one.step.after),
            },
            ensure_ascii=False,
        )
    step: Step = one.step
    return (
        f'{{"conversation":{canonical(step.after.id)},"version":{step.after.version},'
        f'"event":{canonical(step.event)},"step":{step_text(step, one.policy)},"owed":{canonical(one.owed)}}}'
    )


def _declined_text(one: Declined) -> str:
    return (
        f'{{"event":{canonical(one.event)},"at":"{rfc3339(one.at)}","version":{one.version},'
        f'"name":{canonical(one.refusal.name)},"facts":{canonical(dict(one.refusal.facts))}}}'
    )


def declined_from_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a refused event as `Store.declined` yields it."""
    at = time_from(data["at"])
    assert at is not None
    event: Event = event_from_data(data["event"])
    return {
        "event": event_to_data(event),
        "at": at,
        "version": data["version"],
        "name": data["name"],
        "facts": data["facts"],
    }


# --- remembered ids


def remembered_text(one: Remembered) -> str:
    """Return a remembered outcome as text."""
    return canonical(one)


def remembered_from_data(data: Mapping[str, Any]) -> Remembered:
    """Return a remembered outcome."""
    refused = data.get("refused")
    return Remembered(
        **{
            **data,
            "verdicts": tuple(map(verdict_from_data, data.get("verdicts", ()))),
            "refused": Refusal(refused["name"], refused.get("facts", {})) if refused is not None else None,
            "at": time_from(data.get("at")),
        }
    )


# --- deliveries


def delivery_text(one: Delivery) -> str:
    """Return an open delivery as text."""
    return canonical(one)


def delivery_from_data(data: Mapping[str, Any]) -> Delivery:
    """Return an open delivery."""
    since, next_at = time_from(data["since"]), time_from(data["next_at"])
    assert since is not None
    assert next_at is not None
    version, index = data["position"]
    return Delivery(
        **{
            **data,
            "effect": effect_from_data(data["effect"]),
            "position": (version, index),
            "since": since,
            "next_at": next_at,
            "claimed_until": time_from(data.get("claimed_until")),
        }
    )


def settled_text(settled: list[Settled]) -> str:
    """Return what became of deliveries as one row of the log."""
    return f'{{"settled":{canonical(settled)}}}'


def settled_from_data(data: Mapping[str, Any]) -> Settled:
    """Return what became of a delivery."""
    return Settled(**{**data, "next_at": time_from(data.get("next_at"))})
