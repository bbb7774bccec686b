"""Triggers: which of a policy's conditions hold, and what follows from the first that does.

All triggers are judged once a step and every leaf of each is evaluated, so that the trace shows how close the others were.
What may not go in here: arrows, effects.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

import attrs

from .conditions import COMBINATORS, LEAVES, Condition, Judge, Leaf, compile_leaf, guarded, leaves_of
from .conversation import Conversation
from .events import Event
from .evolve import evolve
from .facts import Facts
from .policy import Policy, Route, Trigger
from .verdicts import Verdict

__all__ = ["FAILURE_LEAVES", "Judged", "Trial", "cooldown_left", "failed_guard", "judge", "plan_of"]

#: Kinds of leaf through which a repeated failure speaks; the cool-down does not hold those back.
FAILURE_LEAVES = frozenset({"failed_action", "error_code_in"})


@attrs.frozen(eq=False)
class Trial:
    """A trigger made ready to be judged: its leaves compiled, its destination resolved.

    Args:
        judges, on_message: judge a leaf each, where there is an AI turn and on a customer's message.
        unread: where every leaf reads an AI turn, the verdict on a customer's message, where nothing is known.
        constants: the leaves' answers that are made once, by their identities. They are kept here as long as the trial lives, so
            that no other verdict can have the identity of one.
        plain: verdicts made so far of such answers alone, by their identities.
    """

    trigger: Trigger
    route: Route
    explicit: bool
    leaves: tuple[Leaf, ...]
    judges: tuple[Judge, ...]
    on_message: tuple[Judge, ...]
    combine: Callable[[tuple[bool | None, ...]], bool | None]
    unread: Verdict | None = None
    constants: Mapping[int, Verdict] = attrs.field(factory=dict)
    plain: dict[tuple[int, ...], Verdict] = attrs.field(factory=dict)


@attrs.frozen
class Judged:
    """What all triggers together say.

    Args:
        verdicts: one a trigger, in the order in which they decide.
        held: the triggers that hold and are not held back, in that order.
        reasons: what `auto_escalated_due_to` says, in that order, each once.
    """

    verdicts: tuple[Verdict, ...]
    held: tuple[Trial, ...] = ()
    reasons: tuple[str, ...] = ()

    @property
    def priority(self) -> int:
        """The highest priority among those that hold."""
        return max((trial.trigger.priority for trial in self.held), default=5)

    @property
    def explicit(self) -> bool:
        """Whether a person's own wish is among those that hold."""
        return any(trial.explicit for trial in self.held)


def plan_of(policy: Policy) -> tuple[Trial, ...]:
    """Return the policy's triggers made ready, explicit ones first; made once a policy."""
    plan: tuple[Trial, ...] | None = policy.__dict__.get("_plan")
    if plan is None:
        trials = [_trial(policy, trigger) for trigger in policy.trigger]
        plan = tuple(sorted(trials, key=lambda trial: not trial.explicit))
        policy.__dict__["_plan"] = plan
    return plan


def _trial(policy: Policy, trigger: Trigger) -> Trial:
    route = policy.route(queue=trigger.queue, tier=trigger.tier, skills=trigger.skills)
    flat = leaves_of(trigger.when)
    judges = [compile_leaf(leaf, route.queue, policy.context.trend_turns) for leaf in flat]
    combine = _combiner(trigger.when, iter(range(len(flat))).__next__)
    on_turn, on_message, answers = zip(*judges, strict=True)
    constants = {id(verdict): verdict for one in answers for verdict in one.constants}
    trial = Trial(trigger, route, trigger.is_explicit, tuple(flat), on_turn, on_message, combine, None, constants)
    if all(LEAVES[leaf.kind].reads == "turn" for leaf in flat):
        nothing_known = _weighed(trial, tuple([judge(None) for judge in on_message]))
        return evolve(trial, unread=nothing_known)
    return trial


def _combiner(condition: Condition, index: Callable[[], int]) -> Callable[[tuple[bool | None, ...]], bool | None]:
    """Return a function from the leaves' answers, in order, to the condition's."""
    if isinstance(condition, Leaf):
        at = index()
        return lambda answers: answers[at]
    kleene = COMBINATORS[condition.kind]
    parts = [_combiner(inner, index) for inner in condition.conditions]
    return lambda answers: kleene([part(answers) for part in parts])


def _deciding(name: str, holds: bool | None, leaves: tuple[Verdict, ...]) -> Verdict:
    """Return a trigger's verdict with the numbers of the leaf that decided.

    That is the first that answers as the trigger does, one with a margin before one without.
    """
    deciding = None
    for leaf in leaves:
        if leaf.holds is holds:
            if leaf.margin is not None:
                deciding = leaf
                break
            deciding = deciding or leaf
    shown = deciding or leaves[0]
    return Verdict(name, holds, shown.value, shown.threshold, shown.margin, leaves)


def cooldown_left(policy: Policy, conversation: Conversation, at: datetime) -> float | None:
    """Return the seconds for which automatic triggers are still held back; None where no cool-down runs."""
    if conversation.boundary_kind not in ("return", "withdrawal"):
        return None
    left = policy.resume.cooldown_s - (at - conversation.boundary).total_seconds()
    return left if left > 0 else None


def judge(
    policy: Policy,
    conversation: Conversation,
    event: Event,
    at: datetime,
    recorded: Mapping[str, Verdict] | None = None,
) -> Judged:
    """Judge all triggers.

    Args:
        recorded: verdicts by name that are taken as they are, for an event whose fields were erased.
    """
    facts = Facts(conversation, event, at)
    left = cooldown_left(policy, conversation, at)
    on_message = facts.turn is None
    verdicts = []
    held = []
    for trial in plan_of(policy):
        if recorded is not None and trial.trigger.name in recorded:
            verdict = recorded[trial.trigger.name]
        elif on_message and trial.unread is not None:
            verdict = trial.unread
        else:
            verdict = _judged(trial, facts, left)
        verdicts.append(verdict)
        if verdict.error is not None or (verdict.holds is True and not verdict.suppressed):
            held.append(trial)
    if not held:
        return Judged(tuple(verdicts))
    by_name = {verdict.name: verdict for verdict in verdicts}
    reasons = [reason for trial in held for reason in _reasons(trial.trigger, by_name[trial.trigger.name])]
    return Judged(tuple(verdicts), tuple(held), tuple(dict.fromkeys(reasons)))


def _judged(trial: Trial, facts: Facts, cooldown: float | None) -> Verdict:
    judges = trial.on_message if facts.turn is None else trial.judges
    try:
        leaves = tuple([judge(facts) for judge in judges])
    except Exception:
        leaves = tuple([guarded(judge, leaf, facts) for judge, leaf in zip(judges, trial.leaves, strict=True)])
    key = tuple(map(id, leaves))
    verdict = trial.plain.get(key)
    if verdict is None:
        verdict = _weighed(trial, leaves)
        if all(one in trial.constants for one in key):
            trial.plain[key] = verdict
    holds = verdict.holds
    if holds is False:
        return verdict
    if holds is None and facts.replied and trial.trigger.when_missing == "holds":
        verdict = evolve(verdict, holds=True, margin=None)
    if cooldown is not None and verdict.holds and verdict.error is None and not trial.explicit:
        if not _fails_again(facts, leaves):
            verdict = evolve(verdict, suppressed=True, cooldown_left_s=cooldown)
    return verdict


def _weighed(trial: Trial, leaves: tuple[Verdict, ...]) -> Verdict:
    for leaf in leaves:
        if leaf.error is not None:
            return Verdict(trial.trigger.name, True, leaf.value, leaf.threshold, None, leaves, error=leaf.error)
    return _deciding(trial.trigger.name, trial.combine(tuple([leaf.holds for leaf in leaves])), leaves)


def _fails_again(facts: Facts, leaves: tuple[Verdict, ...]) -> bool:
    """Whether the very action that the resume contract names failed again, and the trigger holds through that."""
    contract = facts.conversation.contract
    if contract is None or contract.failed_action is None or facts.turn is None or facts.turn.failed_action is None:
        return False
    again = facts.turn.failed_action.name == contract.failed_action.name
    return again and any(leaf.name in FAILURE_LEAVES and leaf.holds for leaf in leaves)


def _reasons(trigger: Trigger, verdict: Verdict) -> list[str]:
    if verdict.error is not None:
        return ["guard_error"]
    if trigger.reason is not None:
        return [trigger.reason]
    given = [LEAVES[leaf.name].reason for leaf in verdict.leaves if leaf.holds]
    return [reason for reason in given if reason is not None] or [trigger.name]


def failed_guard(policy: Policy, verdict: Verdict) -> Judged:
    """Return what follows when a guard of the table itself breaks in an AI state: the customer goes to a person."""
    trigger = Trigger(name="guard_error", when=Leaf("failed_action", True), reason="guard_error")
    trial = Trial(trigger, policy.route(), False, (), (), (), lambda _: True)
    return Judged((verdict,), (trial,), ("guard_error",))
