"""A policy at a glance: what decides, in which order, and what happens to who waits. Facts for tables; no layout.

`effective_data` is the policy with every default written out. What may not go in here: columns, colours, files.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from .conditions import COMBINATORS, LEAVES, Condition, Leaf
from .payload import destination_of
from .policy import Policy, Queue, QueueStep, Slo, Trigger
from .policy_codec import policy_to_data
from .triggers import plan_of
from .values import Json
from .wording import condition_in_words, only_in_words, step_in_words, when_in_words

__all__ = ["QueueRow", "StepRow", "TriggerRow", "effective_data", "queue_rows", "trigger_rows"]


@attrs.frozen(kw_only=True)
class TriggerRow:
    """One trigger.

    Args:
        place: in the order of decision, from 1: of those that hold, the first says where to.
        index: in the file, from 0, as errors and findings name it.
        words: the condition.
        reasons: what `auto_escalated_due_to` may say: the trigger's own reason; else that of each condition that held, and the
            trigger's name where it may hold through conditions that give none.
        queue, tier, skills: where it leads, also where the file does not say.
    """

    place: int
    index: int
    name: str
    explicit: bool
    priority: int
    words: str
    reasons: tuple[str, ...]
    queue: str
    tier: str
    skills: tuple[str, ...]
    when_missing: str


@attrs.frozen(kw_only=True)
class StepRow:
    """One step of a queue.

    Args:
        index: in the file, from 0.
        seconds: when it runs; None where it runs as soon as nobody is available.
        when, what, only: in words; `only` is empty where it concerns everybody.
    """

    index: int
    seconds: float | None
    when: str
    what: str
    only: str


@attrs.frozen(kw_only=True)
class QueueRow:
    """One line in which customers wait.

    Args:
        listed: whether the file has it; else a tier, a trigger or a bare request leads there, and it has the defaults.
        tier: the agents who may take from it.
        hours: the name of its opening hours, if it keeps any.
        steps: in the order in which they run; those that wait for nothing but a lack of agents come last.
        queue_s: seconds after which the fallback is promised.
        queue_s_by_channel: the same where a channel differs.
        triggers: names of those that lead here, in the order of decision.
        destination: the name of the rule by which data leave to it; None where everything may.
    """

    name: str
    listed: bool
    tier: str
    routed_by: str
    hours: str | None
    keep_helping: bool
    slo: Slo | None
    steps: tuple[StepRow, ...]
    queue_s: float
    queue_s_by_channel: Mapping[str, float]
    fallback: str
    triggers: tuple[str, ...]
    destination: str | None


def trigger_rows(policy: Policy, *, most: int | None = None) -> tuple[TriggerRow, ...]:
    """Return a row for each trigger, in the order of decision.

    Args:
        most: how many phrases or words of a list are named; None: all.
    """
    index = {trigger.name: at for at, trigger in enumerate(policy.trigger)}
    return tuple(
        TriggerRow(
            place=place,
            index=index[trial.trigger.name],
            name=trial.trigger.name,
            explicit=trial.explicit,
            priority=trial.trigger.priority,
            words=condition_in_words(trial.trigger.when, most=most),
            reasons=_reasons(trial.trigger),
            queue=trial.route.queue,
            tier=trial.route.tier,
            skills=trial.route.skills,
            when_missing=trial.trigger.when_missing,
        )
        for place, trial in enumerate(plan_of(policy), start=1)
    )


def _reasons(trigger: Trigger) -> tuple[str, ...]:
    if trigger.reason is not None:
        return (trigger.reason,)
    given = [LEAVES[leaf.kind].reason for leaf in _wanted(trigger.when, positive=True)]
    reasons = tuple(dict.fromkeys(reason for reason in given if reason is not None))
    nameless = trigger.when_missing == "holds" or _holds_without_a_reason(trigger.when, positive=True)
    return (*reasons, trigger.name) if nameless else reasons


def _wanted(condition: Condition, *, positive: bool) -> list[Leaf]:
    """Return the leaves that help the condition by holding; one below a `none` helps by not holding."""
    if isinstance(condition, Leaf):
        return [condition] if positive else []
    inside = positive != (condition.kind == "none")
    return [leaf for inner in condition.conditions for leaf in _wanted(inner, positive=inside)]


def _holds_without_a_reason(condition: Condition, *, positive: bool) -> bool | None:
    """Whether the condition can hold while no leaf that gives a reason does: the others are taken to be as it needs them."""
    if isinstance(condition, Leaf):
        return positive and LEAVES[condition.kind].reason is None
    inside = positive != (condition.kind == "none")
    return COMBINATORS[condition.kind]([_holds_without_a_reason(inner, positive=inside) for inner in condition.conditions])


def queue_rows(policy: Policy) -> tuple[QueueRow, ...]:
    """Return a row for each queue: those of the file, then those to which a tier, a trigger or a bare request leads."""
    plan = plan_of(policy)
    implied = [policy.route(tier=tier.name) for tier in policy.tier]
    routes = [*implied, *(trial.route for trial in plan), policy.route()]
    listed = [queue.name for queue in policy.queue]
    leading = {name: tuple(one.trigger.name for one in plan if one.route.queue == name) for name in listed}
    for route in routes:
        leading.setdefault(route.queue, tuple(one.trigger.name for one in plan if one.route.queue == route.queue))
    return tuple(_queue_row(policy, policy.queue_named(name), name in listed, triggers) for name, triggers in leading.items())


def _queue_row(policy: Policy, queue: Queue, listed: bool, triggers: tuple[str, ...]) -> QueueRow:
    tier = queue.tier or queue.name
    rule = destination_of(policy, queue.name, tier)
    by_channel = policy.timers.by_channel.items()
    return QueueRow(
        name=queue.name,
        listed=listed,
        tier=tier,
        routed_by=queue.routed_by,
        hours=queue.hours,
        keep_helping=queue.keep_helping,
        slo=queue.slo,
        steps=_step_rows(queue),
        queue_s=policy.timers.queue_s,
        queue_s_by_channel={channel: one.queue_s for channel, one in by_channel if one.queue_s is not None},
        fallback=queue.fallback,
        triggers=triggers,
        destination=rule.name if rule is not None else None,
    )


def _step_rows(queue: Queue) -> tuple[StepRow, ...]:
    rows = [
        StepRow(
            index=index,
            seconds=_seconds(step),
            when=when_in_words(step),
            what=step_in_words(step),
            only=only_in_words(step.only),
        )
        for index, step in enumerate(queue.step)
    ]
    return tuple(sorted(rows, key=lambda row: float("inf") if row.seconds is None else row.seconds))


def _seconds(step: QueueStep) -> float | None:
    return step.after_s if step.after_s is not None else step.when_wait_above_s


# --- every default written out


def effective_data(policy: Policy) -> dict[str, Json]:
    """Return the policy as plain data, with the values that equal their defaults; read back, it is the same policy.

    What is not given and has no value of its own stays away: a trigger's queue, `texts` that the file does not change.
    """
    given = policy_to_data(policy)
    data: dict[str, Json] = _written_out(policy)
    for trigger, as_given in zip(data["trigger"], given.get("trigger", ()), strict=True):
        trigger["when"] = as_given["when"]
    return data


def _written_out(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _written_out(inner) for name, inner in value.items()}
    if isinstance(value, tuple):
        return [_written_out(one) for one in value]
    if attrs.has(type(value)):
        fields = {field.name: getattr(value, field.name) for field in attrs.fields(type(value))}
        return {name: _written_out(inner) for name, inner in fields.items() if inner is not None}
    return value
