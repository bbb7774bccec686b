"""Rules over names: what is named is defined, and what is defined is named.

What may not go in here: whether what is named makes sense there.
"""

from collections.abc import Iterable, Iterator

from ..policy import Policy
from ..policy_codec import guess
from .findings import Finding

__all__ = ["lint_names", "tier_of"]


def tier_of(policy: Policy, queue: str) -> str:
    """Return a queue's tier."""
    return policy.queue_named(queue).tier or queue


def lint_names(policy: Policy) -> Iterator[Finding]:
    """Yield names that nothing defines, and hours that nothing names."""
    # A queue without a tier has one of its own name, and a tier without a queue has one of its own name.
    tiers = {one.name for one in policy.tier} | {one.name for one in policy.queue if one.tier is None}
    served = {tier_of(policy, one.name) for one in policy.queue}
    queues = {one.name for one in policy.queue} | (tiers - served)
    destinations = queues | tiers | {"default", "customer"}
    for index, trigger in enumerate(policy.trigger):
        yield from _named(f"trigger[{index}].tier", trigger.name, "tier", trigger.tier, tiers)
        yield from _named(f"trigger[{index}].queue", trigger.name, "queue", trigger.queue, queues)
    for index, queue in enumerate(policy.queue):
        yield from _named(f"queue[{index}].tier", f"queue {queue.name}", "tier", queue.tier, tiers)
        yield from _named(f"queue[{index}].hours", f"queue {queue.name}", "hours", queue.hours, policy.hours)
        for at, step in enumerate(queue.step):
            yield from _named(f"queue[{index}].step[{at}].tier", f"queue {queue.name}", "tier", step.tier, tiers)
    for index, rule in enumerate(policy.destination):
        place, kind = f"destination[{index}].name", "queue or tier"
        yield from _named(place, f"destination {rule.name}", kind, rule.name, destinations)
    for name in policy.hours:
        if name not in {queue.hours for queue in policy.queue}:
            mend = f'name them in a queue (hours = "{name}"), or take them out'
            yield Finding("unused_hours", f"hours.{name}", f"No queue names the hours {name}.", mend, "warning")


def _named(place: str, by: str, kind: str, name: str | None, known: Iterable[str]) -> Iterator[Finding]:
    if name is None or name in known:
        return
    words = ", ".join(sorted(known))
    mend = guess(name, sorted(known)) or f"define it, or name one of {words}" if words else "define it, or take it out"
    yield Finding("undefined_name", place, f"{by} names the {kind} {name}, which nothing defines.", mend)
