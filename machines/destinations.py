"""Destinations: which fields of a payload may leave, to whom, for what. Data and its checks only.

What may not go in here: how a payload is pruned by a rule (`payload`).
"""

import difflib
import functools
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import attrs

from .values import Within

__all__ = ["FIELDS_INSIDE", "PAYLOAD_FIELDS", "Destination", "UnknownField"]

#: What a destination's fields may name: the first part of a path.
PAYLOAD_FIELDS = (
    "channel",
    "customer",
    "summary",
    "messages",
    "intent",
    "confidence",
    "sentiment",
    "sentiments",
    "entities",
    "attributes",
    "actions",
    "failed_action",
    "facts",
    "auto_escalated_due_to",
    "priority",
    "skills",
    "wish",
    "links",
)
#: What lies in those of them that are no maps of the host's own.
FIELDS_INSIDE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "customer": ("id", "tier", "locale", "lifetime_value", "attributes"),
        "failed_action": ("name", "parameters", "error_code", "message"),
        "links": ("previous", "linked"),
    }
)


class UnknownField(ValueError):
    """A destination names a field that no payload has, at `path` below the destination."""

    def __init__(self, path: str, what: str, mend: str) -> None:
        super().__init__(what)
        self.path = path
        self.mend = mend


def _are_payload_fields(_: object, attribute: "attrs.Attribute[Any]", value: tuple[str, ...]) -> None:
    for index, path in enumerate(value):
        if "" in path.split("."):
            raise UnknownField(
                f"{attribute.name}[{index}]", f"{path!r} has an empty part", "write the names with one dot between"
            )
        first, _dot, rest = path.partition(".")
        known: tuple[str, ...] = PAYLOAD_FIELDS
        word = first
        if first in FIELDS_INSIDE and rest:
            known, word = FIELDS_INSIDE[first], rest.partition(".")[0]
        elif rest and first in PAYLOAD_FIELDS and first not in ("entities", "attributes", "facts"):
            raise UnknownField(f"{attribute.name}[{index}]", f"{path!r} lies in no map", f"name {first!r} as a whole")
        if word not in known:
            close = difflib.get_close_matches(word, known, 1)
            mend = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            raise UnknownField(f"{attribute.name}[{index}]", f"a payload has no field {path!r}", mend)


@attrs.frozen(kw_only=True)
class Destination:
    """`[[destination]]`: what may leave, to whom, for what purpose.

    Args:
        name: a queue, a tier, `default`, or `customer` (for `{summary}` in texts).
        fields: paths such as `messages`, `customer.id`, `entities.transaction_id`; a path lets all leave that lies in it.
        messages_at_most, text_at_most: the destination's limits, in messages and in characters of one text.
    """

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    purpose: str = ""
    fields: tuple[str, ...] = attrs.field(default=(), validator=_are_payload_fields)
    messages_at_most: int | None = attrs.field(default=None, validator=Within(0))
    text_at_most: int | None = attrs.field(default=None, validator=Within(1))

    @functools.cached_property
    def paths(self) -> frozenset[tuple[str, ...]]:
        """The fields, split into their parts."""
        return frozenset(tuple(field.split(".")) for field in self.fields)
