"""Small frozen values that events, snapshots and effects share, and the validators that guard them.

Maps are plain dictionaries of JSON values. They are never changed after they were handed over: treat them as frozen.
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import attrs

__all__ = [
    "Action",
    "Actor",
    "Attachment",
    "Customer",
    "CustomerChange",
    "FailedAction",
    "Json",
    "Observed",
    "Prediction",
    "QueueFacts",
    "Target",
    "as_utc",
    "frozen_texts",
]

#: The map that holds nothing; shared, since most maps of most conversations are empty. Never write to it.
EMPTY: dict[str, "Json"] = {}

#: Any JSON value: None, bool, int, float, str, list, dict.
Json = Any


#: Times from here on are refused, so that every wait of a policy can be added to every time.
LAST_YEAR = 9000


def as_utc(value: datetime | None) -> datetime | None:
    """Return an aware time in UTC; raise `ValueError` for a naive one, whose zone nobody can know."""
    if value is None:
        return None
    if value.year >= LAST_YEAR:
        raise ValueError(f"time {value.isoformat()} is beyond the year {LAST_YEAR}: timers could not be added to it")
    if value.tzinfo is UTC:
        return value
    if value.tzinfo is None:
        raise ValueError(f"time {value.isoformat()} has no zone: give an aware datetime in UTC")
    return value.astimezone(UTC)


def frozen_texts(value: Any) -> Any:
    """Return a list of strings as a tuple, and a single string as a tuple of one."""
    return (value,) if isinstance(value, str) else tuple(value)


def is_text(_: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    """Validate that a required text is a string."""
    if value.__class__ is not str and not isinstance(value, str):
        raise TypeError(f"{attribute.name} must be a string, not {value!r}")


def is_name(_: object, attribute: "attrs.Attribute[str]", value: object) -> None:
    """Validate that a required id is a string with something in it."""
    if not isinstance(value, str) or not value:
        raise ValueError(f"{attribute.name} must be a string that is not empty, not {value!r}")


def is_name_if_given(instance: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    """Validate that an id, where given, is a string with something in it."""
    if value is not None:
        is_name(instance, attribute, value)


def is_not_empty_if_given(_: object, attribute: "attrs.Attribute[Any]", value: tuple[object, ...] | None) -> None:
    """Validate that a list, where given, has something in it."""
    if value is not None and not value:
        raise ValueError(f"{attribute.name} must be a list that is not empty: leave it out instead")


class Within:
    """Validate that a number, where given, is finite and within bounds (both allowed).

    Args:
        words: what is allowed, where the bounds alone do not say it well.
    """

    kinds: Any = int | float
    noun = "a number"

    def __init__(self, low: float = -math.inf, high: float = math.inf, words: str = "") -> None:
        self.low = low
        self.high = high
        self.words = words

    def __call__(self, _: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
        """Raise `ValueError` when `value` is out of range, NaN, infinite or no number."""
        if value is None:
            return
        if isinstance(value, bool) or not isinstance(value, self.kinds):
            raise ValueError(f"{attribute.name} must be {self.noun}, not {value!r}")
        if not (self.low <= value <= self.high and math.isfinite(value)):
            raise ValueError(f"{attribute.name} must be {self.words or self.range()}, not {value!r}")

    def range(self) -> str:
        """Say in words what is allowed."""
        if self.high == math.inf:
            return "a finite number" if self.low == -math.inf else f"at least {self.low:g} and finite"
        return f"from {self.low:g} to {self.high:g}"


class Whole(Within):
    """The same for whole numbers."""

    kinds = int
    noun = "a whole number"


class OneOf:
    """Validate that a word, where given, is one of a closed list."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def __call__(self, _: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
        """Raise `ValueError` for any other word."""
        if value is not None and value not in self.words:
            raise ValueError(f"{attribute.name} must be one of {', '.join(self.words)}, not {value!r}")


def is_finite_json(_: object, attribute: "attrs.Attribute[Any]", value: Any) -> None:
    """Validate that a map holds no NaN and no infinity, at any depth."""
    if value and not _finite(value):
        raise ValueError(f"{attribute.name} must not hold NaN or an infinity")


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(map(_finite, value.values()))
    if isinstance(value, list | tuple):
        return all(map(_finite, value))
    return True


def is_flat(_: object, attribute: "attrs.Attribute[Any]", value: Mapping[str, Json]) -> None:
    """Validate that a map holds finite scalars only: guards compare its values with numbers and strings."""
    for key, inner in value.items():
        if isinstance(inner, dict | list | tuple):
            raise ValueError(f"{attribute.name}.{key} must be flat, not an object or a list")
        if isinstance(inner, float) and not math.isfinite(inner):
            raise ValueError(f"{attribute.name}.{key} must be finite, not {inner!r}")


#: Who may cause an event.
ActorKind = Literal["customer", "ai", "agent", "supervisor", "desk", "api", "system"]
ACTOR_KINDS: tuple[str, ...] = get_args(ActorKind)


def are_levels(_: object, attribute: "attrs.Attribute[Any]", value: Mapping[str, object] | None) -> None:
    """Validate that each skill has a level from 1 to 5."""
    for name, level in (value or {}).items():
        if isinstance(level, bool) or level not in (1, 2, 3, 4, 5):
            raise ValueError(f"{attribute.name}.{name} must be a level from 1 to 5, not {level!r}")


@attrs.frozen(kw_only=True, weakref_slot=False)
class Customer:
    """Who writes. `lifetime_value` is in the host's own currency; `attributes` is a flat map of the host's own."""

    id: str = attrs.field(validator=is_name)
    tier: str | None = None
    locale: str | None = None
    lifetime_value: float | None = attrs.field(default=None, validator=Within())
    attributes: Mapping[str, Json] = attrs.field(default=EMPTY, validator=is_flat)


@attrs.frozen(kw_only=True)
class CustomerChange:
    """What changed about a customer; what is absent stays, `attributes` are merged key by key."""

    id: str | None = None
    tier: str | None = None
    locale: str | None = None
    lifetime_value: float | None = attrs.field(default=None, validator=Within())
    attributes: Mapping[str, Json] = attrs.field(default=EMPTY, validator=is_flat)

    def merged(self, customer: Customer) -> Customer:
        """Return `customer` with the changes applied."""
        given = {name: value for name in ("id", "tier", "locale", "lifetime_value") if (value := getattr(self, name)) is not None}
        return attrs.evolve(customer, **given, attributes={**customer.attributes, **self.attributes})


@attrs.frozen(kw_only=True)
class Attachment:
    """A file by reference; its bytes never travel through the machine. `size` is in bytes."""

    id: str | None = None
    kind: str | None = None
    name: str | None = None
    media_type: str | None = None
    size: int | None = attrs.field(default=None, validator=Whole(0))
    url: str | None = None


@attrs.frozen(kw_only=True)
class Action:
    """One thing that the AI did for the customer in a turn (a tool call)."""

    name: str = attrs.field(validator=is_name)
    parameters: Mapping[str, Json] = attrs.field(factory=dict, validator=is_finite_json)
    status: str | None = None
    result: Json = attrs.field(default=None, validator=is_finite_json)


@attrs.frozen(kw_only=True)
class FailedAction:
    """What the AI tried and could not do; after a return from an agent it may be run again."""

    name: str = attrs.field(validator=is_name)
    parameters: Mapping[str, Json] = attrs.field(factory=dict, validator=is_finite_json)
    error_code: str | None = None
    message: str | None = None


@attrs.frozen(kw_only=True)
class Prediction:
    """A forecast of the customer's frustration. Times are in seconds from the turn that carries it."""

    time_to_frustration_s: float | None = attrs.field(default=None, validator=Within(0))
    interval_s: Json = attrs.field(default=None, validator=is_finite_json)
    model: str | None = None
    because: Json = attrs.field(default=None, validator=is_finite_json)


@attrs.frozen(kw_only=True)
class Target:
    """Where a handoff or transfer should go; the narrowest that is given decides (agent, queue, tier)."""

    queue: str | None = attrs.field(default=None, validator=is_name_if_given)
    tier: str | None = attrs.field(default=None, validator=is_name_if_given)
    skills: tuple[str, ...] = attrs.field(default=(), converter=frozen_texts)
    agent: str | None = attrs.field(default=None, validator=is_name_if_given)
    bot: str | None = attrs.field(default=None, validator=is_name_if_given)


@attrs.frozen(kw_only=True)
class Actor:
    """Who caused an event, where that is not plain from its type."""

    kind: str = attrs.field(validator=OneOf(*ACTOR_KINDS))
    id: str | None = None


@attrs.frozen(kw_only=True)
class QueueFacts:
    """What was known of one queue when an event was handled.

    `eta_s` is the estimated wait in seconds, `position` counts from 1, `waiting` and `available` are people.
    """

    open: bool | None = None
    opens_at: datetime | None = attrs.field(default=None, converter=as_utc)
    waiting: int | None = attrs.field(default=None, validator=Whole(0))
    available: int | None = attrs.field(default=None, validator=Whole(0))
    eta_s: float | None = attrs.field(default=None, validator=Within(0))
    position: int | None = attrs.field(default=None, validator=Whole(1))

    @property
    def no_human_is_possible(self) -> bool:
        """Closed; or nobody is available and no wait can be estimated."""
        return self.open is False or (self.available == 0 and self.eta_s is None)


@attrs.frozen(kw_only=True)
class Observed:
    """What the shell looked up before the event was stepped, by queue name."""

    queues: Mapping[str, QueueFacts] = attrs.field(factory=dict)
