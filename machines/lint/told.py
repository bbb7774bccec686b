"""Rules over what people are told of a handoff: its reason, and the failed action that led to it.

What may not go in here: texts to the customer (`texts`).
"""

from collections.abc import Iterator

from ..conditions import LEAVES, Condition, Leaf
from ..payload import destination_of, may_leave
from ..policy import Policy, Trigger
from ..triggers import plan_of
from ..wording import listed
from .findings import Finding, trigger_place
from .imagined import Moment
from .regions import Witness, claim_of, satisfiable

__all__ = ["lint_told"]

#: What a person needs to do by hand what the AI could not.
_NEEDED = ("name", "parameters", "error_code")


def lint_told(policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with what people are told."""
    yield from _reasons_within(policy)
    yield from _reasons_between(policy)
    yield from _failed_actions(policy)


# --- reasons


def _own_reasons(condition: Condition) -> tuple[str, ...]:
    """Return the reasons that a condition's leaves would give where it holds."""
    if isinstance(condition, Leaf):
        reason = LEAVES[condition.kind].reason
        return (reason,) if reason is not None else ()
    if condition.kind == "none":
        return ()
    return tuple(dict.fromkeys(reason for inner in condition.conditions for reason in _own_reasons(inner)))


def _alternatives(condition: Condition) -> Iterator[list[tuple[str, ...]]]:
    """Yield the reasons of the branches of each `any`."""
    if isinstance(condition, Leaf) or condition.kind == "none":
        return
    if condition.kind == "any":
        yield [reasons for reasons in map(_own_reasons, condition.conditions) if reasons]
    for inner in condition.conditions:
        yield from _alternatives(inner)


def _reasons_within(policy: Policy) -> Iterator[Finding]:
    for trigger in policy.trigger:
        if trigger.reason is None:
            continue
        for branches in _alternatives(trigger.when):
            if any(set(one) != set(branches[0]) for one in branches):
                reasons = list(dict.fromkeys(reason for one in branches for reason in one))
                yield _wrong(policy, trigger, f"{trigger.name} says {trigger.reason} whether it holds for {listed(reasons)}.")
                break


def _reasons_between(policy: Policy) -> Iterator[Finding]:
    for at, later in enumerate(policy.trigger):
        its_own = _own_reasons(later.when)
        for first in policy.trigger[:at]:
            own = _own_reasons(first.when)
            if later.reason is not None and first.reason == later.reason and own and its_own and not set(own) & set(its_own):
                sentence = (
                    f"{later.name} and {first.name} both say {later.reason}, though one holds for {listed(its_own)} "
                    f"and the other for {listed(own)}."
                )
                yield _wrong(policy, later, sentence)
                break


def _wrong(policy: Policy, trigger: Trigger, sentence: str) -> Finding:
    place = f"{trigger_place(policy, trigger.name)}.reason"
    mend = "leave `reason` out, so that each condition that holds gives its own"
    return Finding("one_reason_for_several", place, sentence, mend, "warning")


# --- the failed action


def _failed_actions(policy: Policy) -> Iterator[Finding]:
    leading: dict[str, list[str]] = {}
    for trial in plan_of(policy):
        rule = destination_of(policy, trial.route.queue, trial.route.tier)
        if rule is None:
            continue
        claim = claim_of(trial)
        through = [
            claim.leaf(index)
            for index, leaf in enumerate(trial.leaves)
            if leaf.kind == "error_code_in" or (leaf.kind == "failed_action" and leaf.threshold)
        ]
        if any(isinstance(satisfiable([claim, leaf], moments=(Moment.TURN,)), Witness) for leaf in through):
            leading.setdefault(rule.name, []).append(trial.trigger.name)
    for index, rule in enumerate(policy.destination):
        missing = [f"failed_action.{part}" for part in _NEEDED if not may_leave(rule, "failed_action", part)]
        if missing and rule.name in leading:
            names = leading[rule.name]
            leads = f"{listed(names, 'and')} {'leads' if len(names) == 1 else 'lead'} to {rule.name} for a failed action"
            yield Finding(
                "destination_misses_failed_action",
                f"destination[{index}].fields",
                f"{leads}, of which {listed(missing, 'and')} may not leave.",
                f"add {listed(missing, 'and')}, or `failed_action` as a whole",
            )
