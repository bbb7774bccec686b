"""Hypothesis strategies for the data of whole policies, read off the classes and the conditions' parsers."""

import functools
import string
import typing
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

import attrs
from hypothesis import strategies as st

from handoff_kit.machines.conditions import COMBINATORS, LEAVES, Condition
from handoff_kit.machines.destinations import Destination
from handoff_kit.machines.policy import DEFAULT_TEXTS, Policy, QueueStep
from handoff_kit.machines.values import Within, is_not_empty_if_given

#: Texts that a careless writer of TOML breaks on.
ODD = st.sampled_from(
    [
        '"',
        "\\",
        "\n",
        "\r\n",
        "\t",
        "\x00",
        "\x1f",
        "\x7f",
        "\x85",
        "\u2028",
        "é",
        "日本語",
        "𝕏",
        "'''",
        '"""',
        "# x",
        "a.b",
        "a = 1",
    ]
)
TEXT = st.text(string.ascii_lowercase, max_size=4) | ODD | st.text(st.characters(codec="utf-8"), max_size=6)
FULL = TEXT.filter(str.strip)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9)
SCALARS = TEXT | NUMBERS | st.booleans()


def _accepted(kind: str) -> st.SearchStrategy[Any]:
    """What the parser of a kind of leaf accepts, out of values of all sorts."""
    operands = {"at_least": NUMBERS, "below": NUMBERS, "equals": SCALARS, "present": st.booleans()}
    compared = st.one_of(
        *(st.fixed_dictionaries({"name": TEXT, word: values}) for word, values in operands.items()),
        st.fixed_dictionaries({"name": TEXT, "in": st.lists(SCALARS, min_size=1, max_size=3)}),
    )
    sorts = (FULL, st.lists(FULL, min_size=1, max_size=9), st.booleans(), st.integers(1, 20), st.floats(0, 1), compared)
    margins = st.fixed_dictionaries({"margin_s": NUMBERS})
    for sort in (*sorts, margins):
        try:
            LEAVES[kind].parse(_SAMPLES[sorts.index(sort)] if sort is not margins else {"margin_s": 1})
        except ValueError:
            continue
        return sort
    raise AssertionError(kind)


#: One value of each sort, in the order of the sorts.
_SAMPLES: tuple[Any, ...] = ("x", ["x"], True, 3, 0.5, {"name": "x", "below": 1})

CONDITIONS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.sampled_from(sorted(LEAVES)).flatmap(lambda kind: st.fixed_dictionaries({kind: _accepted(kind)})),
    lambda inner: st.sampled_from(sorted(COMBINATORS)).flatmap(
        lambda kind: st.fixed_dictionaries({kind: st.lists(inner, min_size=1, max_size=3)})
    ),
    max_leaves=5,
)


def _of(hint: Any, field: "attrs.Attribute[Any] | None") -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if hint == Condition:
        return CONDITIONS
    if origin is Literal:
        return st.sampled_from(args)
    if type(None) in args:
        return _of(args[0], field)
    if origin is tuple:
        named = attrs.has(args[0]) and "name" in attrs.fields_dict(args[0])
        least = 1 if field is not None and field.validator is is_not_empty_if_given else 0
        return st.lists(_of(args[0], None), min_size=least, max_size=3, unique_by=(lambda one: one["name"]) if named else None)
    if origin is Mapping:
        return st.dictionaries(TEXT, _of(args[1], None), max_size=2)
    if attrs.has(hint):
        return tables(hint)
    validator = getattr(field, "validator", None)
    if hint is str:
        return TEXT if validator is None else FULL
    if hint is bool:
        return st.booleans()
    low, high = (validator.low, validator.high) if isinstance(validator, Within) else (0, 100)
    high = min(high, 1e6)
    return st.integers(int(low), int(high)) | (st.floats(low, high) if hint is float else st.nothing())


@functools.cache
def tables(cls: type) -> st.SearchStrategy[dict[str, Any]]:
    """The data of one table."""
    hints = typing.get_type_hints(cls)
    strategies = {field.name: _of(hints[field.name], field) for field in attrs.fields(cls)}
    if cls is Policy:
        said = st.dictionaries(st.sampled_from(sorted(DEFAULT_TEXTS)), TEXT, max_size=3)
        strategies["texts"] = st.dictionaries(st.sampled_from(["default", "de", "de-AT"]) | TEXT, said, max_size=2)
        strategies["weights"] = st.dictionaries(TEXT, st.floats(0, 9), max_size=2)
    elif cls is Destination:
        fields = ["customer", "customer.id", "messages", "entities.order number", "failed_action.parameters.x", "facts.a.b"]
        strategies["fields"] = st.lists(st.sampled_from(fields), max_size=9)
    required = {field.name: strategies.pop(field.name) for field in attrs.fields(cls) if field.default is attrs.NOTHING}
    if cls is QueueStep:
        times = {"after_s": st.integers(0, 999), "when_wait_above_s": st.floats(0, 999), "when_none_available": st.just(True)}
        others = {name: strategy for name, strategy in strategies.items() if name not in times}
        at = st.sampled_from(sorted(times)).flatmap(lambda key: st.fixed_dictionaries({key: times[key]}))
        rest = st.fixed_dictionaries({**required, "tier": TEXT}, optional={k: v for k, v in others.items() if k != "tier"})
        return st.builds(lambda one, other: {**one, **other}, rest, at)
    return st.fixed_dictionaries(required, optional=strategies)


POLICY_DATA = tables(Policy)
