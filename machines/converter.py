"""The converter between JSON data and our values: strict about types, shared by events, verdicts and snapshots.

Reading checks each value's type and says in words what must stand there; writing leaves out what has its default. What may not go
in here: which data belongs to which event (`codec`), policies (`policy_codec`, whose files are written by people).
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

from .canonical import rfc3339
from .offers import OfferState
from .states import Presence, State
from .values import Json

__all__ = ["make_converter", "shown"]

#: Shorter strings are words, of which there are few; longer ones are texts.
_WORD = 40


def _text(value: Json, _: Any) -> str:
    if value.__class__ is not str:
        raise ValueError(f"must be a string, not {shown(value)}")
    return _one_object(value) if len(value) < _WORD else value


@functools.lru_cache(512)
def _one_object(word: str) -> str:
    """Words (states, channels, tiers, speakers) recur in every snapshot, texts do not: one object for each recent word.

    Not `sys.intern`: on some versions of Python what was interned is never freed.
    """
    return word


def _whole(value: Json, _: Any) -> int:
    if value.__class__ is not int:
        raise ValueError(f"must be a whole number, not {shown(value)}")
    return value


def _number(value: Json, _: Any) -> float:
    if value.__class__ is float:
        return value
    if value.__class__ is not int:
        raise ValueError(f"must be a number, not {shown(value)}")
    return float(value)


def _flag(value: Json, _: Any) -> bool:
    if value.__class__ is not bool:
        raise ValueError(f"must be true or false, not {shown(value)}")
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
    raise ValueError(f"must be an RFC 3339 time in UTC such as 2026-01-05T09:00:00Z, not {shown(value)}")


def _map(value: Json, _: Any) -> Mapping[str, Json]:
    if value.__class__ is not dict:
        raise ValueError(f"must be an object, not {shown(value)}")
    return value


def _word(value: Json, kind: Any) -> Json:
    if value not in get_args(kind):
        words = get_args(kind)
        raise ValueError(f"must be one of {', '.join(words)}, not {shown(value)}")
    return value


def _member(value: Json, kind: Any) -> Any:
    try:
        return kind(value)
    except ValueError:
        raise ValueError(f"must be one of {', '.join(kind)}, not {shown(value)}") from None


def _reference(value: Json, _: Any) -> int | str:
    if value.__class__ is not int and value.__class__ is not str:
        raise ValueError(f"must be a seq (whole number) or an id (string), not {shown(value)}")
    return value


def shown(value: Json) -> str:
    """Return a value as an error shows it, cut where it is long."""
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _is_list_of_texts(kind: Any) -> bool:
    return bool(kind == tuple[str, ...])


def _texts(value: Json, _: Any) -> tuple[str, ...]:
    if value.__class__ is str:
        return (value,)
    if value.__class__ is not list or not all(one.__class__ is str for one in value):
        raise ValueError(f"must be a list of strings, not {shown(value)}")
    return tuple(value)


def _origin(kind: Any) -> Any:
    return get_origin(kind)


def _optional(kind: Any) -> bool:
    return _origin(kind) in (Union, UnionType) and type(None) in get_args(kind)


def make_converter(*, detailed: bool) -> cattrs.Converter:
    """Return a converter; a detailed one is slower, and its errors have paths."""
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
                raise ValueError(f"must be a list, not {shown(value)}")
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
                raise ValueError(f"must be an object, not {shown(value)}")
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
