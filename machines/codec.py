"""Events, steps and snapshots as JSON, and back.

Reading is strict: unknown fields, wrong types and values out of range are refused, and the error names the place. The fast
converter says only that something is wrong; then the same data is read once more by the detailed one, whose error has the path.
What may not go in here: files and lines (the shell reads those), policies (`policy_codec`).
"""

import functools
import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import UnionType
from typing import Any, Literal, NoReturn, Union, get_args, get_origin

import attrs
import cattrs
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from .agents import Agent
from .canonical import canonical, rfc3339, text_digest
from .conversation import Conversation
from .errors import RecordingError, SnapshotError
from .events import EVENTS, RESERVED_EVENTS, Event, PresenceChanged
from .evolve import evolve
from .offers import OfferState
from .policy_codec import guess, told
from .states import Presence, State
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
    "event_from_data",
    "event_to_data",
    "recorded_step",
    "verdict_from_data",
    "verdict_to_data",
]

#: The format of recorded sessions that this version writes; it reads this and older ones.
FORMAT = 1
#: The schema of snapshots that this version writes; it reads this and older ones.
SNAPSHOT_SCHEMA = 1

#: Shorter strings are words, of which there are few; longer ones are texts.
_WORD = 40

_ALL_EVENTS: dict[str, type[Event]] = {**EVENTS, PresenceChanged.type: PresenceChanged}


# --- building a converter


def _text(value: Json, _: Any) -> str:
    if value.__class__ is not str:
        raise ValueError(f"must be a string, not {_shown(value)}")
    return _one_object(value) if len(value) < _WORD else value


@functools.lru_cache(512)
def _one_object(word: str) -> str:
    """Words (states, channels, tiers, speakers) recur in every snapshot, texts do not: one object for each recent word.

    Not `sys.intern`: on some versions of Python what was interned is never freed.
    """
    return word


def _whole(value: Json, _: Any) -> int:
    if value.__class__ is not int:
        raise ValueError(f"must be a whole number, not {_shown(value)}")
    return value


def _number(value: Json, _: Any) -> float:
    if value.__class__ is float:
        return value
    if value.__class__ is not int:
        raise ValueError(f"must be a number, not {_shown(value)}")
    return float(value)


def _flag(value: Json, _: Any) -> bool:
    if value.__class__ is not bool:
        raise ValueError(f"must be true or false, not {_shown(value)}")
    return value


def _time(value: Json, _: Any) -> datetime:
    return _parsed(value) if value.__class__ is str else _no_time(value)


@functools.lru_cache(256)
def _parsed(value: str) -> datetime:
    """One snapshot names the same few times again and again: one object each."""
    if len(value) >= 20 and value[10] in "Tt ":
        try:
            at = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            if at.tzinfo is not None:
                return at.astimezone(UTC)
    return _no_time(value)


def _no_time(value: Json) -> NoReturn:
    raise ValueError(f"must be an RFC 3339 time in UTC such as 2026-01-05T09:00:00Z, not {_shown(value)}")


def _map(value: Json, _: Any) -> Mapping[str, Json]:
    if value.__class__ is not dict:
        raise ValueError(f"must be an object, not {_shown(value)}")
    return value


def _word(value: Json, kind: Any) -> Json:
    if value not in get_args(kind):
        words = get_args(kind)
        raise ValueError(f"must be one of {', '.join(words)}, not {_shown(value)}")
    return value


def _member(value: Json, kind: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(kind)}, not {_shown(value)}") from None


def _reference(value: Json, _: Any) -> int | str:
    if value.__class__ is not int and value.__class__ is not str:
        raise ValueError(f"must be a seq (whole number) or an id (string), not {_shown(value)}")
    return value


def _shown(value: Json) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_list_of_texts(kind: Any) -> bool:
    return bool(kind == tuple[str, ...])


def _texts(value: Json, _: Any) -> tuple[str, ...]:
    if value.__class__ is str:
        return (value,)
    if value.__class__ is not list or not all(one.__class__ is str for one in value):
        raise ValueError(f"must be a list of strings, not {_shown(value)}")
    return tuple(value)


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _optional(kind: Any) -> bool:
    return _origin(kind) in (Union, UnionType) and type(None) in get_args(kind)


def _make_converter(*, detailed: bool) -> cattrs.Converter:
    converter = cattrs.Converter(detailed_validation=detailed, forbid_extra_keys=True, omit_if_default=True)
    plain: tuple[tuple[Any, Callable[[Json, Any], Any]], ...] = (
        (str, _text),
        (int, _whole),
        (float, _number),
        (bool, _flag),
        (datetime, _time),
    )
    for kind, hook in plain:
        converter.register_structure_hook(kind, hook)

    def optional(kind: Any) -> Callable[[Json, Any], Any]:
        inner = [one for one in get_args(kind) if one is not type(None)]
        target = inner[0] if len(inner) == 1 else Union[tuple(inner)]  # noqa: UP007 - made at run time
        hook = converter.get_structure_hook(target)
        return lambda value, _: None if value is None else hook(value, target)

    def tuples(kind: Any) -> Callable[[Json, Any], Any]:
        args = get_args(kind)
        hook = converter.get_structure_hook(args[0])

        def structure(value: Json, _: Any) -> tuple[Any, ...]:
            if value.__class__ is not list:
                raise ValueError(f"must be a list, not {_shown(value)}")
            out = []
            for index, one in enumerate(value):
                try:
                    out.append(hook(one, args[0]))
                except Exception as error:
                    error.add_note(f"[{index}]")
                    raise
            return tuple(out)

        return structure

    def mappings(kind: Any) -> Callable[[Json, Any], Any]:
        inner = get_args(kind)[1]
        if inner is Any:
            return _map
        hook = converter.get_structure_hook(inner)

        def structure(value: Json, _: Any) -> dict[str, Any]:
            out = {}
            for key, one in _map(value, None).items():
                try:
                    out[key] = hook(one, inner)
                except Exception as error:
                    error.add_note(f".{key}")
                    raise
            return out

        return structure

    def tables(cls: Any) -> Callable[[Json, Any], Any]:
        structure = make_dict_structure_fn(
            cls,
            converter,
            _cattrs_forbid_extra_keys=True,
            _cattrs_detailed_validation=detailed,
            **_renamed(cls),
        )

        def hook(value: Json, _: Any) -> Any:
            if value.__class__ is not dict:
                raise ValueError(f"must be an object, not {_shown(value)}")
            return structure(value, cls)

        return hook

    converter.register_structure_hook_func(lambda kind: kind is Any, lambda value, _: value)
    converter.register_structure_hook_factory(attrs.has, tables)
    converter.register_structure_hook_func(lambda kind: _origin(kind) is Literal, _word)
    converter.register_structure_hook_factory(lambda kind: _origin(kind) is tuple, tuples)
    converter.register_structure_hook_func(_is_list_of_texts, _texts)
    converter.register_structure_hook_factory(lambda kind: _origin(kind) in _MAPPINGS, mappings)
    converter.register_structure_hook_factory(_optional, optional)
    converter.register_structure_hook_func(lambda kind: kind == (int | str), _reference)
    for words in (State, Presence, OfferState):
        # By class: they are strings too, and the hook for strings would leave them plain.
        converter.register_structure_hook(words, _member)

    converter.register_unstructure_hook(datetime, rfc3339)
    converter.register_unstructure_hook_func(lambda kind: _origin(kind) is tuple, lambda v: [converter.unstructure(o) for o in v])
    converter.register_unstructure_hook_factory(
        attrs.has,
        lambda cls: make_dict_unstructure_fn(cls, converter, _cattrs_omit_if_default=True, **_renamed(cls)),
    )
    return converter


_MAPPINGS = (dict, Mapping)


def _renamed(cls: type) -> dict[str, Any]:
    """Return what is written under another name: `with` is a word of Python."""
    return {"with_": override(rename="with")} if "with_" in attrs.fields_dict(cls) else {}


_FAST = _make_converter(detailed=False)
_DETAILED = _make_converter(detailed=True)


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
    raise RecordingError(place, f"there is no type {_shown(name)}", close or f"known are {', '.join(_ALL_EVENTS)}")


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
            place, f"snapshot schema {_shown(schema)} is not {SNAPSHOT_SCHEMA}", "use the version of handoff-kit that wrote it"
        )
    if machine != MACHINE_FINGERPRINT:
        raise SnapshotError(
            place, f"machine fingerprint {_shown(machine)} is not {MACHINE_FINGERPRINT}", "replay its log with this version"
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
