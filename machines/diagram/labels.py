"""Words of labels: an event, a guard, a callback, and the numbers that a policy gives them."""

import re
from collections.abc import Iterable, Mapping

from ..actions import CALLBACKS
from ..engine import Row
from ..guards import GUARDS
from ..policy import TIMED, Policy
from ..triggers import plan_of
from ..wording import condition_in_words, only_in_words, span, when_in_words
from .graph import Machine, Move

__all__ = [
    "callback_in_words",
    "event_in_words",
    "guard_explained",
    "guard_in_words",
    "lines_of",
    "lines_of_moves",
    "ruled_out",
    "titled",
    "triggers_in_words",
]


def event_in_words(event: str, policy: Policy | None = None) -> str:
    """Return an event as a label says it: timers as `timer queue`, with a policy and its seconds as `timer queue (10 min)`."""
    if event == "offer_expired" and policy is not None:
        return f"offer_expired (after {span(policy.offer.deadline_s)})"
    if not event.startswith("timer_"):
        return event
    name = event.removeprefix("timer_")
    times = _times(name, policy) if policy is not None else ""
    return f"timer {name}{f' ({times})' if times else ''}"


def _times(name: str, policy: Policy) -> str:
    if name == "offer":
        return span(policy.offer.deadline_s)
    if name not in TIMED:
        return ""
    common: float = getattr(policy.timers, f"{name}_s")
    own = {
        channel: getattr(overrides, f"{name}_s")
        for channel, overrides in sorted(policy.timers.by_channel.items())
        if getattr(overrides, f"{name}_s") is not None
    }
    return "; ".join([span(common), *(f"{channel} {span(seconds)}" for channel, seconds in own.items())])


def guard_in_words(guard: str, policy: Policy | None = None) -> str:
    """Return a guard as a label says it, with the policy's numbers where it has some."""
    if policy is not None and guard in _WITH_NUMBERS:
        return _WITH_NUMBERS[guard](policy)
    return re.sub(r"\bai\b", "AI", guard.replace("_", " "))


def _offloads(policy: Policy) -> str:
    limit = policy.limits.offloads
    often = "not offloaded before" if limit == 1 else f"offloaded fewer than {limit} times"
    return f"not the customer's wish, {often}"


_WITH_NUMBERS = {
    "has_settled": lambda policy: f"{policy.resume.settle_turns} good turns in a row",
    "callbacks_are_left": lambda policy: f"fewer than {policy.callback.attempts} callbacks tried",
    "offload_is_allowed": _offloads,
}


def callback_in_words(callback: str) -> str:
    """Return what a callback does: the first sentence of its docstring."""
    if callback.startswith("refuse_"):
        return f"Refused: {callback.removeprefix('refuse_')}."
    return _first_line(CALLBACKS[callback].__doc__)


def guard_explained(guard: str) -> str:
    """Return what a guard states: the first sentence of its docstring."""
    return _first_line(GUARDS[guard].__doc__) if guard in GUARDS else guard.replace("_", " ")


def _first_line(text: str | None) -> str:
    assert text is not None
    return text.strip().splitlines()[0]


def triggers_in_words(policy: Policy) -> list[str]:
    """Return the policy's triggers in the order in which they decide: name and condition."""
    return [f"{one.trigger.name}: {condition_in_words(one.trigger.when, most=2)}" for one in plan_of(policy)]


def titled(machine: Machine, policy: Policy | None = None) -> str:
    """Return a picture's title in one line: the machine, and with a policy its name and version."""
    if policy is None:
        return machine.title
    return " ".join(f"{machine.title}: policy {policy.name} {policy.policy.version}".split())


def lines_of(rows: Iterable[Row], policy: Policy | None = None, *, triggers: bool = True) -> list[str]:
    """Return the lines of an arrow's label: events that are guarded alike in one line, then what the policy says about them.

    What belongs to the line before begins with `- `.

    Args:
        triggers: list the policy's triggers where an escalation begins.
    """
    alike: dict[tuple[str, ...], list[str]] = {}
    for row in rows:
        events = alike.setdefault(row.when, [])
        if row.event not in events:
            events.append(row.event)
    plain: list[str] = []
    with_items: list[str] = []
    for when, events in alike.items():
        told = ", ".join(event_in_words(event, policy) for event in events)
        guards = ", ".join(guard_in_words(guard, policy) for guard in when)
        items = _items(when, policy, triggers=triggers) if policy is not None else []
        (with_items if items else plain).extend([f"{told} [{guards}]" if guards else told, *(f"- {item}" for item in items)])
    return [*plain, *with_items]


def lines_of_moves(moves: Iterable[Move]) -> list[str]:
    """Return the lines of a highlighted arrow's label: what happened there, instead of what could."""
    return [f"#{move.number} {move.words}".strip() for move in moves]


def _items(when: tuple[str, ...], policy: Policy, *, triggers: bool) -> list[str]:
    if when == ("a_trigger_holds",):
        return triggers_in_words(policy) if triggers else []
    return [one for guard in when if guard in _STEPS for one in _steps_in_words(policy, _STEPS[guard])]


#: Guards that ask for a step of a queue, and what that step does.
_STEPS: Mapping[str, str] = {"step_offloads": "offload_to_ai", "step_calls_back": "callback", "step_opens_a_ticket": "ticket"}


def _steps_in_words(policy: Policy, do: str) -> list[str]:
    return [
        f"{queue.name}: {when_in_words(step)}{f' ({only})' if (only := only_in_words(step.only)) else ''}"
        for queue in policy.queue
        for step in queue.step
        if step.do == do
    ]


def ruled_out(rows: Iterable[Row], policy: Policy) -> frozenset[Row]:
    """Return the rows that a policy never takes: a copilot that is not engaged on accept, queue steps that no queue has."""
    never = _never_holding(policy)
    return frozenset(row for row in rows if any(guard in never for guard in row.when))


def _never_holding(policy: Policy) -> frozenset[str]:
    steps: set[str] = {step.do for queue in policy.queue for step in queue.step}
    never = {guard for guard, do in _STEPS.items() if do not in steps}
    if policy.copilot.engage != "on_accept":
        never.add("copilot_engages_on_accept")
    if all(queue.fallback != "ticket" for queue in policy.queue):
        never.add("fallback_is_an_open_ticket")
    if not policy.trigger:
        never.add("a_trigger_holds")
    return frozenset(never)
