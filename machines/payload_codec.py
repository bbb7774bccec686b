"""Payloads as JSON, and back: what an adapter of a desk sends, what an auditor reads years later.

The version is always written. An older version is brought up to the present one step by step; a newer one is refused as such.
"""

from collections.abc import Callable, Mapping
from typing import Any

from .contracts import PAYLOAD_VERSION, Payload
from .converter import make_converter, shown
from .errors import SnapshotError
from .policy_codec import told
from .values import Json

__all__ = ["PAYLOAD_SCHEMA", "payload_from_data", "payload_to_data"]

_CONVERTER = make_converter(detailed=True)

#: What brings a payload of a version up to the next, by version; there is none before 1.
UPCASTERS: dict[int, Callable[[dict[str, Json]], dict[str, Json]]] = {}


def payload_to_data(payload: Payload) -> dict[str, Json]:
    """Return a payload as a JSON object; what is unknown or withheld is left out, version and manifest are not."""
    data: dict[str, Json] = {"version": payload.version}
    data.update(_CONVERTER.unstructure(payload))
    data["messages"] = [_plain(one) for one in payload.messages]
    if not payload.messages:
        del data["messages"]
    data["manifest"] = data.pop("manifest")  # last, as people read it
    return data


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return _CONVERTER.unstructure(value)


def payload_from_data(data: Mapping[str, Json], *, place: str = "payload") -> Payload:
    """Return the payload of a JSON object of this version or an older one.

    Raises:
        SnapshotError: a newer version, or data that does not fit.
    """
    if not isinstance(data, Mapping):
        raise SnapshotError(place, f"must be an object, not {shown(data)}", "give the payload's JSON")
    known = dict(data)
    version = known.get("version")
    while version.__class__ is int and version in UPCASTERS:
        known = UPCASTERS[version](known)
        version = known.get("version")
    if version.__class__ is not int or version != PAYLOAD_VERSION:
        raise SnapshotError(
            place, f"payload version {shown(version)} is not {PAYLOAD_VERSION}", "use the version of handoff-kit that wrote it"
        )
    try:
        return _CONVERTER.structure(known, Payload)
    except Exception as error:
        path, what, mend = next(told(error, ""))
        raise SnapshotError(place, f"{path}: {what}" if path else what, mend) from None


_TEXT: dict[str, Json] = {"type": "string"}
_TEXTS: dict[str, Json] = {"type": "array", "items": _TEXT}
_TIME: dict[str, Json] = {"type": "string", "format": "date-time"}
_MAP: dict[str, Json] = {"type": "object"}
_SIGNED: dict[str, Json] = {"type": "number", "minimum": -1, "maximum": 1}


def _object(required: tuple[str, ...] = (), **properties: Json) -> dict[str, Json]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def _said(words: str, schema: Json) -> dict[str, Json]:
    return {**schema, "description": words}


_ATTACHMENT = _object(
    id=_TEXT, kind=_TEXT, name=_TEXT, media_type=_TEXT, size={"type": "integer", "minimum": 0, "description": "bytes"}, url=_TEXT
)

#: The JSON Schema of a payload.
PAYLOAD_SCHEMA: dict[str, Json] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "handoff-kit payload",
    "description": "What the person who takes over receives. What is absent is unknown or withheld; the manifest says which.",
    **_object(
        ("version", "conversation", "handoff", "queue", "tier", "manifest"),
        version={"const": PAYLOAD_VERSION},
        conversation=_TEXT,
        handoff=_said("counts from 1 within the conversation", {"type": "integer", "minimum": 1}),
        queue=_TEXT,
        tier=_said("of agents", _TEXT),
        channel=_TEXT,
        customer=_object(id=_TEXT, tier=_TEXT, locale=_TEXT, lifetime_value={"type": "number"}, attributes=_MAP),
        summary=_TEXT,
        messages=_said(
            "the transcript's tail, the oldest first",
            {
                "type": "array",
                "items": _object(
                    ("speaker", "text", "at"),
                    speaker=_said("customer, ai, or agent:<id>", _TEXT),
                    text=_TEXT,
                    at=_TIME,
                    attachments={"type": "array", "items": _ATTACHMENT},
                ),
            },
        ),
        intent=_TEXT,
        confidence=_said("of the intent", {"type": "number", "minimum": 0, "maximum": 1}),
        sentiment=_said("of the last AI turn", _SIGNED),
        sentiments=_said("over the last AI turns", {"type": "array", "items": {**_SIGNED, "type": ["number", "null"]}}),
        entities=_MAP,
        attributes=_said("of the last AI turn", _MAP),
        actions=_said(
            "what the AI already did",
            {"type": "array", "items": _object(("name",), name=_TEXT, parameters=_MAP, status=_TEXT, result={})},
        ),
        failed_action=_object(name=_TEXT, parameters=_MAP, error_code=_TEXT, message=_TEXT),
        facts=_said("gathered for the person", _MAP),
        auto_escalated_due_to=_said("the reasons, the deciding one first", _TEXTS),
        priority={"type": "integer", "minimum": 0, "maximum": 9},
        skills=_TEXTS,
        wish=_said("the agent who was asked for by name", _TEXT),
        links=_object(previous=_TEXT, linked=_TEXTS),
        manifest=_object(
            ("destination",),
            destination=_TEXT,
            purpose=_TEXT,
            sent=_TEXTS,
            withheld={"type": "array", "items": _object(("field", "rule"), field=_TEXT, rule=_TEXT)},
            trimmed=_said("what was cut to the destination's limits", _TEXTS),
            missing=_said("entities that should travel and are not known", _TEXTS),
        ),
    ),
}
