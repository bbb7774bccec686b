"""What the linter says: one finding a mistake, with its place in the policy, and the list of rules.

What may not go in here: how a mistake is found (each group of rules has a module of its own).
"""

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import attrs

from ..conditions import Condition, Leaf
from ..policy import Policy

__all__ = ["RULES", "Finding", "Placed", "in_order", "placed_leaves", "trigger_place"]

#: Every rule by name, and what it looks for.
RULES: Mapping[str, str] = MappingProxyType(
    {
        "dead_trigger": "A trigger that can never hold, whatever happens.",
        "shadowed_trigger": "A trigger that is never the first to hold, so that its queue, tier and skills are never used.",
        "overlapping_triggers": "Two triggers of different destinations of which only the order says which one wins.",
        "one_reason_for_several": "A reason that stands for different things, so that people are told the wrong one.",
        "cooldown_outlives_bot": "A cool-down that is longer than an idle conversation stays open.",
        "no_deadline": "A state that may last so long that nobody would call it a deadline.",
        "no_time": "A time of zero, or one that leaves no time for what should follow within it.",
        "silent_fallback": "An empty text where the customer would otherwise be left without a word.",
        "unknown_placeholder": "A {placeholder} that its text does not know, so that the customer reads the braces.",
        "missing_text": "A language that lacks texts, so that the customer reads those of the default.",
        "undefined_name": "A tier, queue, set of hours or destination that nothing defines.",
        "unused_hours": "Opening hours that no queue names.",
        "no_hours": "A queue without opening hours, which counts as always open.",
        "no_drain": "A queue from which nothing leads out within a day.",
        "step_never_runs": "A step of a queue that never runs, or never does anything.",
        "overflow_cycle": "Queues that widen to each other in a circle, or to themselves.",
        "dead_end": "A queue that widens to a tier that may take the item already.",
        "destination_misses_failed_action": "A destination that leaves out the failed action for which it is called.",
    }
)


@attrs.frozen
class Finding:
    """One mistake.

    Args:
        rule: a key of `RULES`.
        place: the path of the key, as errors of a policy write it.
        sentence: what is wrong, by name and number.
        mend: what to do about it.
        severity: an `error` never does what it says; a `warning` may be meant.
    """

    rule: str
    place: str
    sentence: str
    mend: str
    severity: Literal["error", "warning"] = "error"


@attrs.frozen
class Placed:
    """A leaf, where it stands, and whether it stands under a `none`, where it must not hold."""

    leaf: Leaf
    place: str
    negated: bool


def placed_leaves(condition: Condition, place: str, *, negated: bool = False) -> list[Placed]:
    """Return the leaves of a condition in the order of `leaves_of`, each with its place."""
    here = f"{place}.{condition.kind}"
    if isinstance(condition, Leaf):
        return [Placed(condition, here, negated)]
    inside = negated is not (condition.kind == "none")
    found = []
    for index, inner in enumerate(condition.conditions):
        found += placed_leaves(inner, f"{here}[{index}]", negated=inside)
    return found


def trigger_place(policy: Policy, name: str) -> str:
    """Return where a trigger stands in the file."""
    return f"trigger[{[one.name for one in policy.trigger].index(name)}]"


#: `queue[1].step[0].after_s`: the table, its index, and the index of a step in it.
_PLACE = re.compile(r"(\w+)(?:\[(\d+)\])?(?:\.step\[(\d+)\])?")
_TABLES = [field.name for field in attrs.fields(Policy)]


def in_order(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Return findings in the order of the file: its tables as `Policy` lists them, and by their index within a table."""

    def order(finding: Finding) -> tuple[int, int, int]:
        found = _PLACE.match(finding.place)
        assert found is not None, finding.place
        table, index, step = found.groups()
        return _TABLES.index(table), int(index or 0), int(step or -1)

    return tuple(sorted(findings, key=order))
