"""The JSON Schema of a policy's TOML file, for editors that complete and check while one writes.

It is made of the classes, their validators and the conditions' parsers, so that it lists the very keys that are read. It accepts
what `policy_from_data` accepts, except where JSON Schema has no words for a rule, or JSON no such value. Only the parser refuses

- a name that a trigger, tier, queue or destination has twice;
- numbers that are not finite, or too large for a float.

A whole number is accepted wherever a number is; a number such as `1.0` where a whole one is needed is an integer to most
validators, and not to the parser.
"""

import inspect
import math
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

import attrs

from .conditions import COMBINATORS, LEAVES, Condition, comparison, flag, margin_s, phrases, text, texts
from .destinations import FIELDS_INSIDE, PAYLOAD_FIELDS, Destination, UnknownField
from .policy import DEFAULT_TEXTS, Policy, QueueStep
from .policy_words import COMPARISON_WORDS, CONDITION_WORDS, EXAMPLES, KEY_WORDS, TEXT_WORDS
from .values import Json, Within, is_name_if_given, is_not_empty_if_given

__all__ = ["POLICY_SCHEMA"]

Schema = dict[str, Json]

#: Something in it that is no white space.
_TEXT: Schema = {"type": "string", "pattern": r"\S"}
_TEXTS: Schema = {"type": "array", "items": _TEXT, "minItems": 1}
_NUMBER: Schema = {"type": "number"}
_FLAG: Schema = {"type": "boolean"}
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}


def _object(properties: dict[str, Schema], required: tuple[str, ...] = (), **more: Json) -> Schema:
    needed = {"required": list(required)} if required else {}
    return {"type": "object", "properties": properties, **needed, "additionalProperties": False, **more}


def _bounds(low: float, high: float) -> Schema:
    if low == high:
        return {"const": low}
    lowest = {} if low == -math.inf else {"minimum": low}
    return lowest if high == math.inf else {**lowest, "maximum": high}


# --- conditions

_OPERANDS: dict[str, Schema] = {
    "name": {"type": "string"},
    "at_least": _NUMBER,
    "below": _NUMBER,
    "equals": _SCALAR,
    "in": {"type": "array", "items": _SCALAR, "minItems": 1},
    "present": _FLAG,
}

#: What each parser of a condition's value accepts; those of numbers know their bounds themselves.
_PARSED: dict[Callable[..., Any], Schema] = {
    text: _TEXT,
    texts: _TEXTS,
    phrases: _TEXTS,
    flag: _FLAG,
    comparison: _object(
        {word: {**schema, "description": COMPARISON_WORDS[word]} for word, schema in _OPERANDS.items()},
        ("name",),
        minProperties=2,
        maxProperties=2,
    ),
    margin_s: _object({"margin_s": {**_NUMBER, "description": COMPARISON_WORDS["margin_s"]}}, ("margin_s",)),
}


def _parsed(parse: Callable[[Json], Any]) -> Schema:
    """Return the schema of what a parser accepts."""
    if parse in _PARSED:
        return _PARSED[parse]
    # The parsers that `number` and `whole` return close over their bounds: read there, no bound is written down twice.
    known = inspect.getclosurevars(parse).nonlocals
    if "lowest" in known:
        return {"type": "number", **_bounds(known["lowest"], known["highest"])}
    return {"type": "integer", "minimum": known["low"]}


def _condition() -> Schema:
    conditions: Schema = {"type": "array", "items": {"$ref": "#/definitions/Condition"}, "minItems": 1}
    kinds = {**dict.fromkeys(COMBINATORS, conditions), **{kind: _parsed(leaf.parse) for kind, leaf in LEAVES.items()}}
    said = {kind: {**schema, "description": CONDITION_WORDS[kind]} for kind, schema in kinds.items()}
    return _object(said, minProperties=1, maxProperties=1)


# --- tables


def _table(cls: type[Any], definitions: dict[str, Schema]) -> Schema:
    hints = typing.get_type_hints(cls)
    properties = {}
    for field in attrs.fields(cls):
        schema = dict(_own(cls, field, definitions) or _of(hints[field.name], field, definitions))
        # What stands beside a reference is not read, so it goes to what is named; no table is named by two keys.
        told = definitions[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        told["description"] = KEY_WORDS[cls][field.name]
        if isinstance(field.default, bool | int | float | str | tuple):
            told["default"] = list(field.default) if isinstance(field.default, tuple) else field.default
        if field.name in EXAMPLES.get(cls, {}):
            told["examples"] = [EXAMPLES[cls][field.name]]
        properties[field.name] = schema
    required = tuple(field.name for field in attrs.fields(cls) if field.default is attrs.NOTHING)
    return _object(properties, required, **(_STEP_RULES if cls is QueueStep else {}))


def _of(hint: Any, field: "attrs.Attribute[Any] | None", definitions: dict[str, Schema]) -> Schema:
    origin, args = get_origin(hint), get_args(hint)
    if hint == Condition:
        definitions.setdefault("Condition", _condition())
        return {"$ref": "#/definitions/Condition"}
    if origin in (Union, types.UnionType):  # a key of TOML is there or not, and never null
        (given,) = (one for one in args if one is not types.NoneType)
        return _of(given, field, definitions)
    if origin is Literal:
        return {"type": "string", "enum": list(args)}
    if origin is tuple:
        least = {"minItems": 1} if field is not None and field.validator is is_not_empty_if_given else {}
        return {"type": "array", "items": _of(args[0], None, definitions), **least}
    if attrs.has(hint):
        definitions[hint.__name__] = _table(hint, definitions)
        return {"$ref": f"#/definitions/{hint.__name__}"}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _of(args[1], field, definitions)}
    return {"type": _PLAIN[hint], **_validated(field)}


_PLAIN = {str: "string", int: "integer", float: "number", bool: "boolean"}


def _validated(field: "attrs.Attribute[Any] | None") -> Schema:
    validator: Any = field.validator if field is not None else None
    if isinstance(validator, Within):
        return _bounds(validator.low, validator.high)
    if validator is is_name_if_given:
        return {"minLength": 1}
    shortest = getattr(validator, "min_length", 0)  # the only mark of the class, which attrs keeps to itself
    return {"minLength": shortest} if shortest else {}


# --- what no type says


def _own(cls: type[Any], field: "attrs.Attribute[Any]", definitions: dict[str, Schema]) -> Schema | None:
    """Return the schema of a key whose class checks more than its type says."""
    if cls is Policy and field.name == "weights":
        return {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}
    if cls is Policy and field.name == "texts":
        said = {
            name: {"type": "string", "default": words, "description": TEXT_WORDS[name]} for name, words in DEFAULT_TEXTS.items()
        }
        definitions["Texts"] = {"description": "What the system says in one language.", **_object(said)}
        return {"type": "object", "additionalProperties": {"$ref": "#/definitions/Texts"}}
    if cls is QueueStep and field.name == "when_none_available":
        return {"const": True}
    if cls is Destination and field.name == "fields":
        return {"type": "array", "items": _payload_field()}
    return None


#: A step runs at one time, and to widen is to somebody.
_STEP_RULES: Schema = {
    "oneOf": [{"required": [key]} for key in ("after_s", "when_wait_above_s", "when_none_available")],
    "if": {"properties": {"do": {"const": "widen"}}, "required": ["do"]},
    "then": {"required": ["tier"]},
}


def _payload_field() -> Schema:
    """Return what a destination's field may be: a list to choose from, and what may lie deeper."""
    inside = [f"{first}.{part}" for first, parts in FIELDS_INSIDE.items() for part in parts]
    maps = [first for first in PAYLOAD_FIELDS if first not in FIELDS_INSIDE and _lets_in(f"{first}.anything")]
    deeper = "|".join(path.replace(".", r"\.") for path in (*maps, *inside))
    return {"type": "string", "anyOf": [{"enum": [*PAYLOAD_FIELDS, *inside]}, {"pattern": rf"^({deeper})(\.[^.]+)+$"}]}


def _lets_in(path: str) -> bool:
    try:
        Destination(name="any", fields=(path,))
    except UnknownField:
        return False
    return True


def _policy_schema() -> Schema:
    definitions: dict[str, Schema] = {}
    table = _table(Policy, definitions)
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "handoff-kit policy",
        "description": "When an AI agent hands a conversation to a person, to whom, and how it comes back.",
        **table,
        "definitions": dict(sorted(definitions.items())),
    }


#: The JSON Schema of a policy.
POLICY_SCHEMA: Schema = _policy_schema()
