"""Rules over triggers among themselves: dead, shadowed, overlapping.

What they rest on is decided in `regions`. What may not go in here: rules over reasons and destinations (`told`).
"""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

import attrs

from ..policy import Policy, Route
from ..triggers import Trial, plan_of
from ..wording import condition_in_words, listed
from .findings import Finding, placed_leaves, trigger_place
from .imagined import Moment
from .regions import Claim, Undecided, Witness, claim_of, satisfiable

__all__ = ["lint_triggers"]

#: What a fact's domain leaves no room for.
_RANGES: Mapping[str, str] = MappingProxyType(
    {
        "confidence_below": "confidence lies from 0 to 1",
        "sentiment_below": "sentiment lies from -1 to 1",
        "sentiment_trend_below": "the slope of sentiments from -1 to 1 lies from -1 to 1 a turn",
        "elapsed_at_least_s": "no time is below 0 s",
        "frustration_within_s": "no time is below 0 s",
        "queue_wait_at_least_s": "no wait is below 0 s",
    }
)


def lint_triggers(policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with triggers among themselves."""
    plan = plan_of(policy)
    claims = [claim_of(trial) for trial in plan]
    dead = [satisfiable([claim]) is None for claim in claims]
    unused = list(dead)
    for at, trial in enumerate(plan):
        if dead[at]:
            yield _dead(policy, trial, claims[at])
            continue
        earlier = [index for index in range(at) if not dead[index]]
        shadowing = _shadowing(policy, claims[at], [claims[index] for index in earlier])
        if shadowing:
            unused[at] = True
            yield _shadowed(policy, trial, [plan[earlier[index]] for index in shadowing])
    alive = [(trial, claim) for trial, claim, gone in zip(plan, claims, unused, strict=True) if not gone]
    for at, (later, its_claim) in enumerate(alive):
        for first, claim in alive[:at]:
            witness = _overlap(first, claim, later, its_claim)
            if witness is not None:
                yield _overlapping(policy, first, later, witness)


# --- dead


def _dead(policy: Policy, trial: Trial, claim: Claim) -> Finding:
    name = trial.trigger.name
    place = f"{trigger_place(policy, name)}.when"
    placed = placed_leaves(trial.trigger.when, place)
    core = [placed[index] for index in _core(claim)]
    if len(core) == 1:
        leaf, place = core[0].leaf, core[0].place
        words = condition_in_words(leaf, most=3)
        why = f"“{words}” {'always holds' if core[0].negated else 'cannot be'}"
        why += f": {_RANGES[leaf.kind]}" if leaf.kind in _RANGES else ""
        mend = "correct the number, or take the condition out"
    else:
        words = listed([f"“{'not ' if one.negated else ''}{condition_in_words(one.leaf, most=3)}”" for one in core], "and")
        why = f"{words} exclude each other"
        mend = "use `any` where one of them should do, or correct one of them"
    return Finding("dead_trigger", place, f"{name} can never hold: {why}.", mend)


def _core(claim: Claim) -> list[int]:
    """Return the leaves, by index, that together make the claim impossible; one alone where there is one."""
    everything = range(len(claim.leaves))
    for index in everything:
        if _impossible(claim, [index]):
            return [index]
    core = list(everything)
    for index in everything:
        fewer = [one for one in core if one != index]
        if _impossible(claim, fewer):
            core = fewer
    return core


def _impossible(claim: Claim, bound: Sequence[int]) -> bool:
    free = frozenset(range(len(claim.leaves))) - frozenset(bound)
    return satisfiable([attrs.evolve(claim, free=free)]) is None


# --- shadowed


def _shadowing(policy: Policy, claim: Claim, earlier: Sequence[Claim]) -> list[int]:
    """Return the earlier claims, by index, of which one holds whenever the claim does: one, or as few as will do."""
    # During the cool-down only what failed again passes, and may then be first though it is not otherwise.
    moments = list(Moment) if policy.resume.cooldown_s > 0 else [one for one in Moment if one is not Moment.AGAIN]

    def shown(indexes: Sequence[int]) -> Witness | Undecided | None:
        return satisfiable([claim], [earlier[index] for index in indexes], moments=moments)

    needed = list(range(len(earlier)))
    together = shown(needed)
    if isinstance(together, Witness):
        return []
    for index in needed:
        if shown([index]) is None:
            return [index]
    if together is not None:
        return []
    for index in range(len(earlier)):
        fewer = [one for one in needed if one != index]
        if shown(fewer) is None:
            needed = fewer
    return needed


def _shadowed(policy: Policy, trial: Trial, winners: Sequence[Trial]) -> Finding:
    name, place = trial.trigger.name, f"{trigger_place(policy, trial.trigger.name)}.when"
    names = [one.trigger.name for one in winners]
    words = names[0] if len(names) == 1 else f"one of the earlier triggers {listed(names, 'and')}"
    first = f"{name} is never the first to hold: whenever it does, {words} holds too"
    elsewhere = [one for one in winners if one.route != trial.route]
    if not elsewhere:
        sentence = f"{first} and leads to the same place, so that only its priority and reason count."
        return Finding("shadowed_trigger", place, sentence, "leave it out, unless they are what it is for", "warning")
    sentence = f"{first} and leads to {_route(elsewhere[0].route)}, so that {_route(trial.route)} is never used."
    outranked = any(one.explicit for one in winners) and not trial.explicit
    move = "set explicit = true if a person wishes it" if outranked else f"move it before {listed(names, 'and')}"
    return Finding("shadowed_trigger", place, sentence, f"{move}, or narrow {listed(names, 'or')}")


def _route(route: Route) -> str:
    words = f"queue {route.queue}"
    if route.tier != route.queue:
        words += f" (tier {route.tier})"
    return words + (f" with {listed(route.skills, 'and')}" if route.skills else "")


# --- overlapping


def _overlap(first: Trial, claim: Claim, later: Trial, its_claim: Claim) -> Witness | None:
    """Return values at which both hold, where neither region contains the other and both read the same facts."""
    if first.route == later.route:
        return None
    facts, its_facts = claim.facts(), its_claim.facts()
    if not (facts <= its_facts or its_facts <= facts):
        return None
    # Any two phrases may be said in one breath; what counts is whether one thing that is said is meant for both.
    both = satisfiable([claim, its_claim], several_at_once=False)
    if not isinstance(both, Witness):
        return None
    for one, other in ((claim, its_claim), (its_claim, claim)):
        if not isinstance(satisfiable([one], [other], several_at_once=False), Witness):
            return None
    return both


def _overlapping(policy: Policy, first: Trial, later: Trial, witness: Witness) -> Finding:
    a, b = first.trigger.name, later.trigger.name
    why = "it is explicit" if first.explicit and not later.explicit else "it stands first in the file"
    sentence = f"{b} and {a} both hold at {witness.in_words()}; {a} wins there with {_route(first.route)}, since {why}"
    return Finding(
        "overlapping_triggers",
        f"{trigger_place(policy, b)}.when",
        f"{sentence}, and {_route(later.route)} is not used.",
        "put first what should win there, or narrow one of them so that they do not meet",
        "warning",
    )
