"""Events, steps and snapshots as JSON, and back.

Reading is strict: unknown fields, wrong types and values out of range are refused, and the error names the place. The fast
converter says only that something is wrong; then the same data is read once more by the detailed one, whose error has the path.
What may not go in here: files and lines (the shell reads those), policies (`policy_codec`).
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import attrs

from .agents import Agent
from .canonical import canonical, rfc3339, text_digest
from .conversation import Conversation
from .converter import make_converter, shown
from .effects import EFFECTS, Effect
from .errors import RecordingError, SnapshotError
from .events import EVENTS, RESERVED_EVENTS, Event, PresenceChanged
from .evolve import evolve
from .policy_codec import guess, told
from .step import Step
from .table import MACHINE_FINGERPRINT
from .values import Json
from .verdicts import Verdict

__all__ = [
    "FORMAT",
    "RecordedStep",
    "SNAPSHOT_SCHEMA",
    "agent_from_data",
    "agent_to_data",
    "canonical_step",
    "conversation_from_data",
    "conversation_to_data",
    "effect_from_data",
    "event_from_data",
    "event_to_data",
    "recorded_step",
    "step_text",
    "verdict_from_data",
    "verdict_to_data",
]

#: The format of recorded sessions that this version writes; it reads this and older ones.
FORMAT = 1
#: The schema of snapshots that this version writes; it reads this and older ones.
SNAPSHOT_SCHEMA = 1

_ALL_EVENTS: dict[str, type[Event]] = {**EVENTS, PresenceChanged.type: PresenceChanged}


_FAST = make_converter(detailed=False)
_DETAILED = make_converter(detailed=True)


# --- events


def event_from_data(data: Mapping[str, Json], *, place: str = "event") -> Event:
    """Return the event that a JSON object describes (without `step`).

    Args:
        place: what to call its place in errors: a file and line.

    Raises:
        RecordingError: names the place, the field, what is wrong and the mend.
    """
    data = dict(data)
    name = data.pop("type", None)
    cls = _ALL_EVENTS.get(name) if isinstance(name, str) else None
    if cls is None:
        _unknown_type(name, place)
    hook = _HOOKS.get(cls)
    if hook is None:
        hook = _HOOKS[cls] = _FAST.get_structure_hook(cls)
    try:
        event: Event = hook(data, cls)
    except Exception:
        _explain(data, cls, place)
    return event


_HOOKS: dict[type, Callable[[Json, Any], Any]] = {}


def _unknown_type(name: Json, place: str) -> NoReturn:
    if name is None:
        raise RecordingError(place, "the field 'type' is missing", f"known types are {', '.join(_ALL_EVENTS)}")
    if name in RESERVED_EVENTS:
        raise RecordingError(place, f"type {name!r} is not yet supported", "leave the line out")
    close = guess(name, _ALL_EVENTS)
    raise RecordingError(place, f"there is no type {shown(name)}", close or f"known are {', '.join(_ALL_EVENTS)}")


def _explain(data: Mapping[str, Json], cls: type, place: str) -> NoReturn:
    try:
        _DETAILED.structure(data, cls)
    except Exception as error:
        path, what, mend = next(told(error, ""))
        what = f"{path}: {what}" if path else what
        raise RecordingError(place, what, mend) from None
    raise AssertionError(f"{place}: the fast and the detailed converter disagree on {data!r}")  # pragma: no cover


def event_to_data(event: Event) -> dict[str, Json]:
    """Return an event as a JSON object, without fields that have their defaults."""
    data: dict[str, Json] = {"conversation": event.conversation, "type": event.type}
    data.update(_FAST.unstructure(event))
    return data


# --- verdicts, effects, steps


def verdict_to_data(verdict: Verdict) -> dict[str, Json]:
    """Return a verdict as a JSON object; unknown is null, and what has its default is left out."""
    data: dict[str, Json] = json.loads(verdict.text)
    return data


def verdict_from_data(data: Mapping[str, Json]) -> Verdict:
    """Return a verdict from a JSON object that `verdict_to_data` made."""
    leaves = tuple(map(verdict_from_data, data.get("leaves", ())))
    return Verdict(**{**data, "leaves": leaves})


def effect_from_data(data: Mapping[str, Json]) -> Effect:
    """Return an effect from a JSON object of its canonical form.

    Raises:
        SnapshotError: a kind that this version does not know, or data that does not fit.
    """
    data = dict(data)
    name = data.pop("type", None)
    cls = EFFECTS.get(name) if isinstance(name, str) else None
    if cls is None:
        raise SnapshotError("effect", f"there is no effect {shown(name)}", "use the version of handoff-kit that wrote it")
    try:
        return _FAST.structure(data, cls)
    except Exception:
        try:
            _DETAILED.structure(data, cls)
        except Exception as error:
            path, what, mend = next(told(error, ""))
            raise SnapshotError(f"effect {name}", f"{path}: {what}" if path else what, mend) from None
        raise  # pragma: no cover - the two converters agree


def _effects_text(step: Step) -> str:
    """Return a step's effects as canonical text.

    A reference to a message by seq is left out, since seq is a line's place and nothing else.
    """
    texts = []
    for effect in step.effects:
        if isinstance(getattr(effect, "in_reply_to", None), int):
            effect = evolve(effect, in_reply_to=None)
        texts.append(canonical(effect))
    return f"[{','.join(texts)}]"


def _verdicts_text(step: Step) -> str:
    return f"[{','.join([verdict.text for verdict in step.verdicts])}]"


def canonical_step(step: Step) -> str:
    """Return the canonical text of an accepted step: what was decided, when, and with which effects.

    It leaves out seq and fingerprints, so that a recording has the digest of what it was recorded from.
    """
    after = step.after
    return (
        f'{{"at":"{rfc3339(after.at)}","effects":{_effects_text(step)},"epoch":{after.epoch},"owner":{canonical(after.owner)},'
        f'"state":"{after.state}","type":"{step.event.trigger}","verdicts":{_verdicts_text(step)},"version":{after.version}}}'
    )


@attrs.frozen
class RecordedStep:
    """The recorded result of a line: what a replay is compared with."""

    state: str
    version: int
    epoch: int
    effects: str
    verdicts: list[dict[str, Json]]
    policy: str
    machine: str


def recorded_step(step: Step, policy: str) -> dict[str, Json]:
    """Return what a recording keeps of a step, under the key `step`.

    Args:
        policy: the fingerprint of the policy that decided.
    """
    return {
        "state": step.after.state,
        "version": step.after.version,
        "epoch": step.after.epoch,
        "verdicts": [verdict_to_data(verdict) for verdict in step.verdicts],
        "effects": text_digest(_effects_text(step)),
        "policy": policy,
        "machine": MACHINE_FINGERPRINT,
    }


def step_text(step: Step, policy: str) -> str:
    """Return what `recorded_step` says as JSON text; made of texts that are there already, since a store writes it each time."""
    after = step.after
    return (
        f'{{"state":"{after.state}","version":{after.version},"epoch":{after.epoch},"verdicts":{_verdicts_text(step)},'
        f'"effects":"{text_digest(_effects_text(step))}","policy":"{policy}","machine":"{MACHINE_FINGERPRINT}"}}'
    )


# --- snapshots


def conversation_to_data(conversation: Conversation) -> dict[str, Json]:
    """Return a snapshot as JSON data, with its schema and the machine's fingerprint."""
    data: dict[str, Json] = _FAST.unstructure(conversation)
    return {"schema": SNAPSHOT_SCHEMA, "machine": MACHINE_FINGERPRINT, **data}


def conversation_from_data(data: Mapping[str, Json], *, place: str = "snapshot") -> Conversation:
    """Return a snapshot from JSON data.

    Raises:
        SnapshotError: a newer schema, another machine, or data that does not fit.
    """
    data = dict(data)
    schema, machine = data.pop("schema", None), data.pop("machine", None)
    if schema != SNAPSHOT_SCHEMA:
        raise SnapshotError(
            place, f"snapshot schema {shown(schema)} is not {SNAPSHOT_SCHEMA}", "use the version of handoff-kit that wrote it"
        )
    if machine != MACHINE_FINGERPRINT:
        raise SnapshotError(
            place, f"machine fingerprint {shown(machine)} is not {MACHINE_FINGERPRINT}", "replay its log with this version"
        )
    try:
        return _FAST.structure(data, Conversation)
    except Exception:
        try:
            _DETAILED.structure(data, Conversation)
        except Exception as error:
            path, what, mend = next(told(error, ""))
            raise SnapshotError(place, f"{path}: {what}" if path else what, mend) from None
        raise  # pragma: no cover - the two converters agree


def agent_to_data(agent: Agent) -> dict[str, Json]:
    """Return an agent's snapshot as JSON data."""
    data: dict[str, Json] = _FAST.unstructure(agent)
    return data


def agent_from_data(data: Mapping[str, Json]) -> Agent:
    """Return an agent's snapshot from JSON data."""
    return _FAST.structure(data, Agent)
