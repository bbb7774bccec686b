"""Rules over one queue: its steps, its opening hours, the way out of it.

What may not go in here: what queues do to each other (`overflow`).
"""

from collections.abc import Iterator
from typing import Literal

from ..policy import Policy, Queue, QueueStep
from ..triggers import Trial, plan_of
from ..wording import listed, span, step_in_words, when_in_words
from .findings import Finding
from .times import channels_where, seconds_of

__all__ = ["lint_queues", "no_later"]

_DAY = 86400
#: What a request for a person brings; only triggers bring other priorities.
_OF_A_REQUEST = 5


def lint_queues(policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with queues, one by one."""
    for index, queue in enumerate(policy.queue):
        place = f"queue[{index}]"
        if queue.hours is None:
            sentence = f"{queue.name} names no opening hours and counts as always open, so that people are promised at night."
            mend = 'name its hours; [hours.always] with mon_sun = ["00:00-24:00"] says that it never closes'
            yield Finding("no_hours", place, sentence, mend, "warning")
        yield from _drain(policy, queue, place)
        for at in range(len(queue.step)):
            yield from _step(policy, queue, at, f"{place}.step[{at}]")
    # A tier without a queue has one of its own name, and a policy without either has one for all.
    served = {queue.tier or queue.name for queue in policy.queue}
    for index, tier in enumerate(policy.tier):
        if tier.name not in served:
            yield from _drain(policy, policy.queue_named(tier.name), f"tier[{index}]")
    if not policy.queue and not policy.tier:
        yield from _drain(policy, policy.queue_named(policy.route().queue), "timers.queue_s")


def _drain(policy: Policy, queue: Queue, place: str) -> Iterator[Finding]:
    line = seconds_of(policy, "queue")
    out = [step for step in queue.step if step.do in ("callback", "ticket") and _is_for_all(step)]
    soon = any(at is not None and at <= _DAY for step in out for at in (step.after_s, step.when_wait_above_s))
    if line > _DAY and not soon:
        sentence = f"Nothing leads out of {queue.name} within a day: the line lasts {span(line)}."
        yield Finding("no_drain", place, sentence, "give timers.queue_s at most 1 d, or the queue a step for all that calls back")


def _step(policy: Policy, queue: Queue, at: int, place: str) -> Iterator[Finding]:
    step = queue.step[at]
    found = list(_too_late(policy, queue, at, place)) or list(_ended_before(policy, queue, at, place))
    yield from found
    leading = [trial for trial in plan_of(policy) if trial.route.queue == queue.name]
    if step.do == "offload_to_ai":
        yield from _offload(policy, queue, step, leading, place)
    elif step.do == "drop_skill":
        yield from _skill(queue, step, leading, place)
    yield from _nobody_meant(queue, step, leading, place)


def _name(queue: Queue, step: QueueStep) -> str:
    return f"{queue.name}: the step “{step_in_words(step)}” {when_in_words(step)}"


def _never(
    queue: Queue, step: QueueStep, place: str, why: str, mend: str, severity: Literal["error", "warning"] = "warning"
) -> Finding:
    return Finding("step_never_runs", place, f"{_name(queue, step)} {why}.", mend, severity)


# --- when


def _late(policy: Policy, step: QueueStep) -> list[bool]:
    """Return for the default and each channel whether the line is over before the step; at equal times it is."""
    late = []
    for channel in ("", *policy.timers.by_channel):
        line = seconds_of(policy, "queue", channel)
        if step.after_s is not None:
            late.append(step.after_s >= line)
        elif step.when_wait_above_s is not None:
            late.append(step.when_wait_above_s >= seconds_of(policy, "context", channel) + line)
        else:
            late.append(False)
    return late


def _too_late(policy: Policy, queue: Queue, at: int, place: str) -> Iterator[Finding]:
    step = queue.step[at]
    late = _late(policy, step)
    if not any(late):
        return
    where = channels_where(policy, late)
    channels = ("", *policy.timers.by_channel)
    line = min(seconds_of(policy, "queue", channel) for channel, one in zip(channels, late, strict=True) if one)
    over = f"the line is over after {span(line)}{where and f' {where}'}"
    if step.after_s is not None:
        never = f"never runs{where and f' {where}'}: the line is over after {span(line)}"
        mend = f"give after_s less than {span(line)}, or timers.queue_s more"
        yield _never(queue, step, f"{place}.after_s", never, mend, "warning" if where else "error")
    else:
        why = f"runs only for who comes back to the line: {over}, and the context is there before it"
        mend = "give when_wait_above_s less than timers.queue_s"
        yield _never(queue, step, f"{place}.when_wait_above_s", why, mend)


def no_later(steps: tuple[QueueStep, ...], one: int, other: int) -> bool:
    """Whether one step is due no later than another, and before it where they are due at once, for everybody."""
    first, second = steps[one], steps[other]
    if first.when_none_available and second.when_none_available:
        return one < other
    if first.after_s is not None and second.after_s is not None:
        return (first.after_s, one) < (second.after_s, other)
    # The whole wait began no later than the line was entered.
    if first.when_wait_above_s is not None:
        at = second.after_s if second.after_s is not None else second.when_wait_above_s
        return at is not None and (first.when_wait_above_s, one) < (at, other)
    return False


def _is_for_all(step: QueueStep) -> bool:
    only = step.only
    return only is None or (only.intent_in is None and (only.priority_at_most is None or only.priority_at_most == 9))


def _ended_before(policy: Policy, queue: Queue, at: int, place: str) -> Iterator[Finding]:
    """Yield one finding where an earlier step takes everybody out of the line."""
    step = queue.step[at]
    for other, ending in enumerate(queue.step):
        if ending.do not in ("callback", "ticket") or not _is_for_all(ending):
            continue
        if not no_later(queue.step, other, at) or all(_late(policy, ending)):
            continue
        key = next(k for k in ("after_s", "when_wait_above_s", "when_none_available") if getattr(step, k) is not None)
        earlier = f"“{step_in_words(ending)}” {when_in_words(ending)} takes everybody out of the line"
        mend = f"let it run earlier, or restrict step[{other}] with `only`"
        if ending.do == "callback" and policy.callback.attempts > 0:
            why = f"runs only when a callback has brought the item back: {earlier}"
            yield _never(queue, step, f"{place}.{key}", why, mend)
        else:
            yield _never(queue, step, f"{place}.{key}", f"never runs: {earlier}", mend, "error")
        return


# --- for whom


def _offload(policy: Policy, queue: Queue, step: QueueStep, leading: list[Trial], place: str) -> Iterator[Finding]:
    if policy.limits.offloads == 0:
        yield _never(queue, step, f"{place}.do", "never does so: limits.offloads is 0", "give limits.offloads at least 1")
    elif leading and all(trial.explicit for trial in leading):
        names = listed([trial.trigger.name for trial in leading], "and", most=3)
        why = f"never does so: {names} and customers' requests are explicit, and what is explicit is not offloaded"
        yield _never(queue, step, f"{place}.do", why, "take it out, or lead another trigger here")


def _skill(queue: Queue, step: QueueStep, leading: list[Trial], place: str) -> Iterator[Finding]:
    asked = {skill for trial in leading for skill in trial.route.skills}
    if step.skill is None and not asked:
        yield _never(queue, step, f"{place}.do", "does nothing: no trigger that leads here asks for a skill", "take it out")
    elif step.skill is not None and step.skill not in asked:
        known = f"name one of {', '.join(sorted(asked))}, or take it out" if asked else "take it out"
        why = f"does nothing: no trigger that leads here asks for {step.skill}"
        yield _never(queue, step, f"{place}.skill", why, known)


def _nobody_meant(queue: Queue, step: QueueStep, leading: list[Trial], place: str) -> Iterator[Finding]:
    most = step.only.priority_at_most if step.only is not None else None
    # The priority of an item is the highest of the triggers that hold, and a step only raises it.
    least = min([_OF_A_REQUEST, *(trial.trigger.priority for trial in leading)])
    if most is not None and most < least:
        why = f"is for a priority of at most {most}, and no item here has less than {least}"
        yield _never(queue, step, f"{place}.only.priority_at_most", why, f"give at least {least}")
