"""A policy: every threshold, time and text as checked, frozen data.

The attributes are the keys of the TOML file. Everything has a default; a policy of one trigger is a policy. Reading and writing
are in `policy_codec`; what may not go in here: evaluation (in `triggers`), clocks, files.
"""

import functools
import math
from collections.abc import Mapping
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Literal

import attrs

from .conditions import Condition, leaves_of
from .destinations import Destination
from .values import Target, Within, is_name_if_given, is_not_empty_if_given

__all__ = [
    "AiRules",
    "CallbackRules",
    "ContextRules",
    "CopilotRules",
    "DEFAULT_TEXTS",
    "Durations",
    "Head",
    "HoursRules",
    "Limits",
    "OfferRules",
    "Policy",
    "Queue",
    "QueueStep",
    "ResumeRules",
    "Route",
    "Slo",
    "StepFilter",
    "TIMED",
    "TimerOverrides",
    "TimerRules",
    "Tier",
    "Trigger",
]

#: What the system says where a policy gives no text of its own; an empty text is not sent.
DEFAULT_TEXTS: Mapping[str, str] = MappingProxyType(
    {
        "connecting": "I am connecting you with a person who will see what we talked about.",
        "hold": "A person will answer you as soon as possible. Nothing that you write is lost.",
        "position": "You are number {position} in line. The wait is about {eta}.",
        "offloaded": "While you wait I can try to help. You keep your place in line.",
        "resumed": "I am the assistant again, and I know what was agreed.",
        "callback": "Nobody is free right now. We will get back to you.",
        "closed_hours": "We are closed right now. We will get back to you when we open.",
        "rating": "How was this conversation, from 1 to 5?",
        "fallback": "Sorry, I did not get that. Could you say it in other words?",
    }
)


#: A hundred years: longer waits cannot be added to a time without leaving the calendar.
_LONGEST_S = 100 * 366 * 86400


def _seconds(default: float | None, low: float = 0) -> Any:
    words = f"at least {low:g} and finite (a hundred years at most)"
    return attrs.field(default=default, converter=_as_float, validator=Within(low, _LONGEST_S, words))


def _as_float(value: Any) -> Any:
    """Return a whole number of seconds as a float, so that a policy made in Python has the fingerprint of the same TOML."""
    return float(value) if type(value) is int and abs(value) <= _LONGEST_S else value


def _count(default: int, low: int = 0) -> Any:
    return attrs.field(default=default, validator=Within(low))


@attrs.frozen(kw_only=True)
class Head:
    """`[policy]`: what the policy is called. `schema` is the version of this format."""

    schema: int = attrs.field(default=1, validator=Within(1, 1))
    name: str = "unnamed"
    version: str = ""


@attrs.frozen(kw_only=True)
class Trigger:
    """`[[trigger]]`: when the AI hands over, and to whom.

    Args:
        reason: what `auto_escalated_due_to` says; without one, each leaf that held gives its own.
        priority: of the waiting item, 0 (lowest) .. 9.
        explicit: passes every cool-down and is never offloaded; defaults to true for the reason explicit_request.
        when_missing: what an unknown result counts as, on an AI turn only.
    """

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    when: Condition
    reason: str | None = attrs.field(default=None, validator=is_name_if_given)
    tier: str | None = attrs.field(default=None, validator=is_name_if_given)
    queue: str | None = attrs.field(default=None, validator=is_name_if_given)
    skills: tuple[str, ...] = ()
    priority: int = attrs.field(default=5, validator=Within(0, 9))
    explicit: bool | None = None
    when_missing: Literal["fails", "holds"] = "fails"
    do: Literal["handoff"] = "handoff"

    @property
    def is_explicit(self) -> bool:
        """Whether it stands for a person's own wish."""
        if self.explicit is not None:
            return self.explicit
        if self.reason is not None:
            return self.reason == "explicit_request"
        return all(leaf.kind in ("customer_says", "choice_in") for leaf in leaves_of(self.when))


@attrs.frozen(kw_only=True)
class ContextRules:
    """`[context]`: what travels to the person."""

    messages: int = _count(5)
    entities: tuple[str, ...] = ()
    trend_turns: int = _count(4, 3)


@attrs.frozen(kw_only=True)
class ResumeRules:
    """`[resume]`: how the AI takes up again. Seconds; AI turns."""

    cooldown_s: float = _seconds(120)
    settle_turns: int = _count(2, 1)


@attrs.frozen(kw_only=True)
class AiRules:
    """`[ai]`: what is asked of the AI's turns."""

    require_epoch: bool = False


#: Timers that run for a time of the policy, each with `<name>_s` in `[timers]`.
TIMED = (
    "context",
    "queue",
    "ai_reply",
    "bot_idle",
    "agent_silent",
    "customer_idle",
    "customer_gone",
    "parked",
    "callback",
    "eta_update",
    "wrap_up",
)


@attrs.frozen(kw_only=True)
class TimerOverrides:
    """`[timers.by_channel.<channel>]`: seconds that differ on one channel."""

    context_s: float | None = _seconds(None)
    queue_s: float | None = _seconds(None)
    ai_reply_s: float | None = _seconds(None)
    bot_idle_s: float | None = _seconds(None)
    agent_silent_s: float | None = _seconds(None)
    customer_idle_s: float | None = _seconds(None)
    customer_gone_s: float | None = _seconds(None)
    parked_s: float | None = _seconds(None)
    callback_s: float | None = _seconds(None)
    eta_update_s: float | None = _seconds(None)
    wrap_up_s: float | None = _seconds(None)


@attrs.frozen(kw_only=True)
class TimerRules:
    """`[timers]`: seconds that each state may last."""

    context_s: float = _seconds(10)
    queue_s: float = _seconds(600)
    ai_reply_s: float = _seconds(60)
    bot_idle_s: float = _seconds(1800)
    agent_silent_s: float = _seconds(300)
    customer_idle_s: float = _seconds(600)
    customer_gone_s: float = _seconds(60)
    parked_s: float = _seconds(86400)
    callback_s: float = _seconds(3600, 1)
    eta_update_s: float = _seconds(60, 1)
    wrap_up_s: float = _seconds(120)
    by_channel: Mapping[str, TimerOverrides] = attrs.field(factory=dict)


@attrs.frozen(kw_only=True)
class Tier:
    """`[[tier]]`: a tier of agents."""

    name: str = attrs.field(validator=attrs.validators.min_len(1))


@attrs.frozen(kw_only=True)
class Slo:
    """`slo`: the share of items that should be answered within so many seconds."""

    within_s: float = attrs.field(converter=_as_float, validator=Within(0))
    share: float = attrs.field(converter=_as_float, validator=Within(0, 1))


@attrs.frozen(kw_only=True)
class StepFilter:
    """`only`: which items a queue step concerns."""

    priority_at_most: int | None = attrs.field(default=None, validator=Within(0, 9))
    intent_in: tuple[str, ...] | None = attrs.field(default=None, validator=is_not_empty_if_given)


@attrs.frozen(kw_only=True)
class QueueStep:
    """`[[queue.step]]`: what happens to an item that waits; exactly one of the three `after_`/`when_` keys.

    Args:
        after_s: seconds from entry of the queue.
        when_wait_above_s: seconds from the first escalation.
        when_none_available: when the looked-up facts say that nobody is available.
        do: what then happens.
        tier: with `widen`, who else may take it.
        skill: with `drop_skill`, which one is no longer asked; without it, all of them.
        by: with `raise_priority`, by how much.
        audience: with `notify`, who is told.
    """

    do: Literal["widen", "drop_skill", "raise_priority", "offload_to_ai", "callback", "ticket", "notify"]
    after_s: float | None = _seconds(None)
    when_wait_above_s: float | None = _seconds(None)
    when_none_available: bool | None = None
    only: StepFilter | None = None
    tier: str | None = None
    skill: str | None = None
    by: int = _count(1, 1)
    audience: str = "supervisor"

    def __attrs_post_init__(self) -> None:
        given = [n for n in ("after_s", "when_wait_above_s", "when_none_available") if getattr(self, n) is not None]
        if len(given) != 1 or self.when_none_available is False:
            raise ValueError("needs exactly one of after_s, when_wait_above_s, when_none_available = true")
        if self.do == "widen" and self.tier is None:
            raise ValueError('do = "widen" needs a tier')

    def concerns(self, priority: int, intent: str | None) -> bool:
        """Whether the step is meant for an item of that priority and intent."""
        if self.only is None:
            return True
        if self.only.priority_at_most is not None and priority > self.only.priority_at_most:
            return False
        return self.only.intent_in is None or intent in self.only.intent_in


@attrs.frozen(kw_only=True)
class Queue:
    """`[[queue]]`: a line in which items wait; `tier` defaults to the queue's own name."""

    name: str = attrs.field(validator=attrs.validators.min_len(1))
    tier: str | None = None
    routed_by: Literal["kit", "desk"] = "kit"
    hours: str | None = None
    keep_helping: bool = False
    fallback: Literal["callback", "ticket"] = "callback"
    slo: Slo | None = None
    step: tuple[QueueStep, ...] = ()


@attrs.frozen(kw_only=True)
class OfferRules:
    """`[offer]`: seconds, and how many ring at once."""

    deadline_s: float = _seconds(20, 1)
    parallel: int = _count(1, 1)
    decline_memory_s: float = _seconds(120)
    sticky_s: float = _seconds(86400)
    lost_after_s: float = _seconds(60)


@attrs.frozen(kw_only=True)
class Limits:
    """`[limits]`: how often, within one handoff."""

    transfers: int = _count(5)
    offloads: int = _count(1)


@attrs.frozen(kw_only=True)
class CallbackRules:
    """`[callback]`: how often a callback is tried before it becomes a ticket."""

    attempts: int = _count(3)


@attrs.frozen(kw_only=True)
class HoursRules:
    """`[hours.<name>]`: opening hours as `HH:MM-HH:MM` by day, in `zone`."""

    zone: str = "UTC"
    mon: tuple[str, ...] | None = None
    tue: tuple[str, ...] | None = None
    wed: tuple[str, ...] | None = None
    thu: tuple[str, ...] | None = None
    fri: tuple[str, ...] | None = None
    sat: tuple[str, ...] | None = None
    sun: tuple[str, ...] | None = None
    mon_fri: tuple[str, ...] | None = None
    mon_sun: tuple[str, ...] | None = None
    holidays: str | None = None


@attrs.frozen(kw_only=True)
class CopilotRules:
    """`[copilot]`: whether the AI drafts from the moment an agent accepts."""

    engage: Literal["manual", "on_accept"] = "manual"


@attrs.frozen
class Durations:
    """The times of one channel, as time spans."""

    context: timedelta
    queue: timedelta
    ai_reply: timedelta
    bot_idle: timedelta
    agent_silent: timedelta
    customer_idle: timedelta
    customer_gone: timedelta
    parked: timedelta
    callback: timedelta
    eta_update: timedelta
    wrap_up: timedelta


@attrs.frozen
class Route:
    """Where a handoff goes; `agent` is a wish."""

    queue: str
    tier: str
    skills: tuple[str, ...] = ()
    agent: str | None = None


def _are_weights(_: object, attribute: "attrs.Attribute[Any]", value: Mapping[str, float]) -> None:
    for channel, weight in value.items():
        if not (weight >= 0 and math.isfinite(weight)):
            raise ValueError(f"{attribute.name}.{channel} must be at least 0 and finite, not {weight!r}")


@attrs.frozen(kw_only=True, slots=False)
class Policy:
    """A whole policy. Compare policies by `fingerprint`."""

    policy: Head = attrs.field(factory=Head)
    trigger: tuple[Trigger, ...] = ()
    context: ContextRules = attrs.field(factory=ContextRules)
    resume: ResumeRules = attrs.field(factory=ResumeRules)
    ai: AiRules = attrs.field(factory=AiRules)
    timers: TimerRules = attrs.field(factory=TimerRules)
    texts: Mapping[str, Mapping[str, str]] = attrs.field(factory=dict)
    tier: tuple[Tier, ...] = ()
    queue: tuple[Queue, ...] = ()
    offer: OfferRules = attrs.field(factory=OfferRules)
    limits: Limits = attrs.field(factory=Limits)
    callback: CallbackRules = attrs.field(factory=CallbackRules)
    hours: Mapping[str, HoursRules] = attrs.field(factory=dict)
    copilot: CopilotRules = attrs.field(factory=CopilotRules)
    destination: tuple[Destination, ...] = ()
    weights: Mapping[str, float] = attrs.field(factory=dict, validator=_are_weights)

    def __attrs_post_init__(self) -> None:
        for table in ("trigger", "tier", "queue", "destination"):
            names = [one.name for one in getattr(self, table)]
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{table} name {twice[0]!r} is given twice")
        for language, texts in self.texts.items():
            unknown = sorted(set(texts) - set(DEFAULT_TEXTS))
            if unknown:
                raise ValueError(f"texts.{language} has no text {unknown[0]!r}: known are {', '.join(DEFAULT_TEXTS)}")

    @property
    def name(self) -> str:
        """The policy's name."""
        return self.policy.name

    @functools.cached_property
    def fingerprint(self) -> str:
        """A digest of the canonical form: equal for policies that decide equally by their text."""
        from .policy_codec import fingerprint_of

        return fingerprint_of(self)

    def destination_named(self, name: str) -> Destination | None:
        """Return the rule of a destination; None where the policy has none."""
        return self._destinations.get(name)

    @functools.cached_property
    def _destinations(self) -> dict[str, Destination]:
        return {one.name: one for one in self.destination}

    def text(self, name: str, locale: str | None) -> str:
        """Return a text by locale, then language, then default; empty where it is not to be sent."""
        for language in (locale, locale.replace("_", "-").partition("-")[0] if locale else None, "default"):
            if language and name in self.texts.get(language, {}):
                return self.texts[language][name]
        return DEFAULT_TEXTS[name]

    def durations(self, channel: str) -> Durations:
        """Return the times of a channel."""
        return self._durations.get(channel) or self._durations[""]

    @functools.cached_property
    def _durations(self) -> dict[str, Durations]:
        def spans(overrides: TimerOverrides) -> Durations:
            def seconds(name: str) -> float:
                own: float | None = getattr(overrides, f"{name}_s")
                common: float = getattr(self.timers, f"{name}_s")
                return common if own is None else own

            return Durations(**{name: timedelta(seconds=seconds(name)) for name in TIMED})

        return {
            "": spans(TimerOverrides()),
            **{channel: spans(overrides) for channel, overrides in self.timers.by_channel.items()},
        }

    @functools.cached_property
    def _queues(self) -> dict[str, Queue]:
        return {queue.name: queue for queue in self.queue}

    def queue_named(self, name: str) -> Queue:
        """Return a queue's rules; a queue that the policy does not list has the defaults."""
        found = self._queues.get(name)
        return found if found is not None else Queue(name=name)

    def route(
        self,
        *,
        queue: str | None = None,
        tier: str | None = None,
        skills: tuple[str, ...] = (),
        agent: str | None = None,
    ) -> Route:
        """Return where a handoff goes.

        The queue is the given one, else its tier's first (a tier without one has one of its own name), else the file's first,
        else the first tier's own, else `default`.
        """
        if queue is None and tier is not None:
            queue = next((q.name for q in self.queue if (q.tier or q.name) == tier), tier)
        if queue is None:
            first = self.queue or self.tier
            queue = first[0].name if first else "default"
        return Route(queue, tier or self.queue_named(queue).tier or queue, skills, agent)

    def route_to(self, target: Target | None) -> Route:
        """Return where a target points; the narrowest that it gives decides."""
        if target is None:
            return self.route()
        return self.route(queue=target.queue, tier=target.tier, skills=target.skills, agent=target.agent)
