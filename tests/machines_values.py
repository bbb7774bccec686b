"""Hypothesis strategies for whole events and effects, read off the fields of their classes."""

import functools
import types
import typing
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from hypothesis import strategies as st

from handoff_kit.machines import Actor, PresenceChanged, Verdict
from handoff_kit.machines.values import Within, as_utc, is_flat, is_name, is_name_if_given

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6)
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=2)), timezone(-timedelta(hours=7, minutes=30))])
BOUNDS = (datetime(2000, 1, 2), datetime(2090, 1, 1))  # noqa: DTZ001 - Hypothesis asks for naive bounds
TIMES = st.datetimes(*BOUNDS, timezones=ZONES)
UTC_TIMES = st.datetimes(*BOUNDS, timezones=st.just(UTC))


def _numbers(field: "attrs.Attribute[Any] | None", kind: type) -> st.SearchStrategy[Any]:
    validator = getattr(field, "validator", None)
    low, high = (validator.low, validator.high) if isinstance(validator, Within) else (-1e6, 1e6)
    low, high = max(low, -1e6), min(high, 1e6)
    if kind is int:
        return st.integers(int(low), int(high))
    return st.floats(low, high)


def _of(hint: Any, field: "attrs.Attribute[Any] | None" = None) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([st.none() if one is type(None) else _of(one, field) for one in args])
    if origin is Literal:
        return st.sampled_from(args)
    if origin is tuple:
        return st.lists(_of(args[0]), max_size=2).map(tuple)
    if origin in (Mapping, dict):
        inner = SCALARS if field is not None and field.validator is is_flat else _of(args[1])
        return st.dictionaries(st.text(max_size=4), inner, max_size=2)
    if hint is Any:
        return JSON
    if hint is str:
        return st.text(min_size=1 if field is not None and field.validator in (is_name, is_name_if_given) else 0, max_size=6)
    if hint is bool:
        return st.booleans()
    if hint in (int, float):
        return _numbers(field, hint)
    if hint is datetime:
        return TIMES if field is not None and field.converter is as_utc else UTC_TIMES
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return st.sampled_from(list(hint))
    return values_of(hint)


@functools.cache
def values_of(cls: type) -> st.SearchStrategy[Any]:
    """A strategy for the values of an attrs class; what has a default is sometimes left out."""
    if cls is Verdict:
        return st.recursive(
            _built(Verdict, leaves=st.just(())), lambda inner: _built(Verdict, leaves=st.tuples(inner)), max_leaves=2
        )
    if cls is Actor:
        kinds = ["customer", "ai", "agent", "supervisor", "desk", "api", "system"]
        return st.builds(Actor, kind=st.sampled_from(kinds), id=st.none() | st.text(max_size=3))
    if cls is PresenceChanged:
        return _built(cls, skills=st.none() | st.dictionaries(st.text(max_size=4), st.integers(1, 5), max_size=2))
    return _built(cls)


def _built(cls: type, **given: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    hints = typing.get_type_hints(cls)
    required: dict[str, Any] = {}
    optional: dict[str, Any] = {}
    for field in attrs.fields(cls):
        if not field.init:
            continue
        strategy = given[field.name] if field.name in given else _of(hints[field.name], field)
        (required if field.default is attrs.NOTHING else optional)[field.name] = strategy
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: cls(**fields))
