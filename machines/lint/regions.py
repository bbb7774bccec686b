"""Exact reasoning over triggers: is there anything at which some hold and others do not?

Backtracking over the cells of the facts that are read. What is not decided yet may answer in several ways; a condition is then
weighed to the set of all answers that it may give, in Kleene's logic as in `verdicts`, and a branch is left as soon as a trigger
that is wanted can no longer hold. A search that grows too large says UNDECIDED, and nothing may be concluded from it.

Values at which a leaf cannot be evaluated are left out: there the trigger holds as a `guard_error`, which no condition decides.
What may not go in here: what follows from an answer (the rules).
"""

import itertools
from collections.abc import Mapping, Sequence
from enum import Enum

import attrs

from ..conditions import Condition, Judge, Leaf
from ..facts import ImpossibleValue
from ..triggers import FAILURE_LEAVES, Trial
from ..values import Json
from ..wording import listed
from .answers import ANY, BIT, TRUE, UNKNOWN, joined, weighed
from .cells import SAID, values_of
from .imagined import Imagined, Key, Moment, facts_read, in_words

__all__ = ["Claim", "UNDECIDED", "Undecided", "Witness", "claim_of", "satisfiable"]

#: Branches that are looked at before a search gives up; a policy of dozens of triggers stays far below.
BUDGET = 20_000
#: Sets of phrases that are told apart before a search gives up.
_SAYINGS = 512


class Undecided(Enum):
    """The answer of a search that grew too large."""

    UNDECIDED = "undecided"


UNDECIDED = Undecided.UNDECIDED


@attrs.frozen
class Witness:
    """Values at which it is so; facts that make no difference are left out."""

    moment: Moment
    values: tuple[tuple[Key, Json], ...]

    def in_words(self) -> str:
        """Return the values as people say them."""
        return listed([in_words(key, value) for key, value in self.values], "and") if self.values else self.moment.value


#: Answers by types and values: True equals 1, and is another value.
_Known = dict[tuple[tuple[type, Json], ...], int]


@attrs.frozen(eq=False)
class Claim:
    """That a trigger holds.

    Args:
        when_missing: an unknown result counts as holding, on an AI's turn.
        explicit: the cool-down does not keep it back.
        free: leaves, by index, that may answer anything; for asking which of them matter.
        known: each leaf's answers by the values of what it reads, kept since many searches ask for the same.
    """

    condition: Condition
    queue: str
    leaves: tuple[Leaf, ...]
    judges: tuple[Judge, ...]
    on_message: tuple[Judge, ...]
    when_missing: bool = False
    explicit: bool = False
    free: frozenset[int] = frozenset()
    known: tuple[_Known, ...] = attrs.field(default=attrs.Factory(lambda self: tuple({} for _ in self.leaves), takes_self=True))

    def facts(self) -> frozenset[Key]:
        """Return what it reads on an AI's turn, when all may be known."""
        return frozenset(key for leaf in self.leaves for key in facts_read(leaf, self.queue, Moment.TURN))

    def leaf(self, index: int) -> "Claim":
        """Return the claim that one of its leaves holds."""
        leaf = self.leaves[index]
        return Claim(leaf, self.queue, (leaf,), (self.judges[index],), (self.on_message[index],))


def claim_of(trial: Trial) -> Claim:
    """Return the claim that a trigger holds."""
    trigger = trial.trigger
    missing = trigger.when_missing == "holds"
    return Claim(trigger.when, trial.route.queue, trial.leaves, trial.judges, trial.on_message, missing, trial.explicit)


def satisfiable(
    wanted: Sequence[Claim],
    unwanted: Sequence[Claim] = (),
    *,
    moments: Sequence[Moment] = (Moment.TURN, Moment.SILENCE, Moment.MESSAGE),
    several_at_once: bool = True,
    budget: int = BUDGET,
) -> Witness | Undecided | None:
    """Return values at which all that is wanted holds and nothing that is unwanted does; None where there are none.

    Args:
        moments: when; any of them will do.
        several_at_once: whether somebody may say several phrases.
    """
    undecided = False
    for moment in moments:
        try:
            found = _Search(wanted, unwanted, moment, several_at_once, budget).run()
        except _TooLarge:
            undecided = True
            continue
        if found is not None:
            return found
    return UNDECIDED if undecided else None


class _TooLarge(Exception):
    """The search went through its budget."""


# --- the search


@attrs.define(eq=False)
class _Asked:
    """A leaf in a search: what it reads, and the answers that it may give so far."""

    claim: Claim
    leaf: Leaf
    judge: Judge
    keys: tuple[Key, ...]
    may: int
    known: _Known

    def answer(self, values: tuple[Json, ...]) -> int:
        """Return the answer at the values of what it reads."""
        at = tuple([(value.__class__, value) for value in values])
        answer = self.known.get(at)
        if answer is None:
            answer = self.known[at] = BIT[self.judge(Imagined(dict(zip(self.keys, values, strict=True)))).holds]
        return answer

    def answers(self, domains: Mapping[Key, Sequence[Json]]) -> tuple[int, ...]:
        """Return the answers at all values of what it reads."""
        if len(self.keys) == 1:  # as nearly all, and asked very often
            return tuple([self.answer((value,)) for value in domains[self.keys[0]]])
        return tuple(self.answer(values) for values in itertools.product(*(domains[key] for key in self.keys)))


class _Search:
    """One search at one moment."""

    def __init__(
        self, wanted: Sequence[Claim], unwanted: Sequence[Claim], moment: Moment, several_at_once: bool, budget: int
    ) -> None:
        self.moment = moment
        self.left = budget
        self.claims: list[tuple[Claim, bool, list[_Asked]]] = []
        for claim, holds in (*((one, True) for one in wanted), *((one, False) for one in unwanted)):
            self.claims.append((claim, holds, self._asked(claim)))
        self.asked = [one for *_, asked in self.claims for one in asked]
        self.readers: dict[Key, list[_Asked]] = {}
        for one in self.asked:
            for key in one.keys:
                self.readers.setdefault(key, []).append(one)
        leaves = [(one.leaf, one.claim.queue) for one in self.asked if one.keys]
        self.domains = {key: self._judgeable(key, values_of(key, leaves, moment)) for key in self.readers}
        for key in self.domains:
            self.domains[key] = self._told_apart(key)
        if several_at_once:
            for key in self.domains:
                if key[0] in SAID:
                    self.domains[key] = self._unions(key)
        for one in self.asked:
            if one.keys:
                one.may = joined(one.answers(self.domains))

    def _asked(self, claim: Claim) -> list[_Asked]:
        """Return the leaves of a claim; one that reads a turn is unknown without one, and one that is free answers anything."""
        judges = claim.on_message if self.moment is Moment.MESSAGE else claim.judges
        found = []
        for index, (leaf, judge) in enumerate(zip(claim.leaves, judges, strict=True)):
            keys = () if index in claim.free else facts_read(leaf, claim.queue, self.moment)
            may = ANY if keys or index in claim.free else UNKNOWN
            found.append(_Asked(claim, leaf, judge, keys, may, claim.known[index]))
        return found

    # --- domains

    def _judgeable(self, key: Key, values: Sequence[Json]) -> list[Json]:
        if self.moment is Moment.AGAIN and key[0] == "failure":
            values = [value for value in values if value is not None]
        return [value for value in values if all(_is_judgeable(one, value) for one in self.readers[key])]

    def _told_apart(self, key: Key) -> list[Json]:
        """Return one value of each set of values to which all leaves answer alike."""
        apart: dict[tuple[tuple[int, ...], ...], Json] = {}
        for value in self.domains[key]:
            apart.setdefault(self._signature(key, value), value)
        return list(apart.values())

    def _signature(self, key: Key, value: Json) -> tuple[tuple[int, ...], ...]:
        domains = {**self.domains, key: [value]}
        return tuple([one.answers(domains) for one in self.readers[key]])

    def _unions(self, key: Key) -> list[Json]:
        """Return what is said together, one of each set to which all leaves answer alike."""
        singles = self.domains[key]
        found = {self._signature(key, value): value for value in singles}
        for single in singles:
            for value in list(found.values()):
                both = value + tuple(phrase for phrase in single if phrase not in value)
                found.setdefault(self._signature(key, both), both)
                if len(found) > _SAYINGS:
                    raise _TooLarge
        return list(found.values())

    # --- backtracking

    def run(self) -> Witness | None:
        """Return the first values that are found."""
        chosen = self._descend({}, list(self.domains))
        return Witness(self.moment, tuple(chosen.items())) if chosen is not None else None

    def _descend(self, chosen: dict[Key, Json], left: list[Key]) -> dict[Key, Json] | None:
        self.left -= 1
        if self.left < 0:
            raise _TooLarge
        certain = True
        for claim, wanted, asked in self.claims:
            may, may_not = self._outcomes(claim, asked)
            if not (may if wanted else may_not):
                return None
            certain = certain and not (may_not if wanted else may)
        if certain or not left:
            return chosen
        key, *rest = left
        before = [one.may for one in self.readers[key]]
        for value in self.domains[key]:
            fixed = {**chosen, key: value}
            domains = {**self.domains, **{known: [at] for known, at in fixed.items()}}
            for one in self.readers[key]:
                one.may = joined(one.answers(domains))
            found = self._descend(fixed, rest)
            if found is not None:
                return found
        for one, answers in zip(self.readers[key], before, strict=True):
            one.may = answers
        return None

    def _outcomes(self, claim: Claim, asked: list[_Asked]) -> tuple[bool, bool]:
        """Return whether the claim may still be right, and whether it may still be wrong."""
        mask = weighed(claim.condition, iter([one.may for one in asked]))
        missing = claim.when_missing and self.moment in (Moment.TURN, Moment.AGAIN)
        holding = TRUE | UNKNOWN if missing else TRUE
        may, may_not = bool(mask & holding), bool(mask & ~holding)
        if self.moment is Moment.AGAIN and not claim.explicit:
            failures = [one.may for one in asked if one.leaf.kind in FAILURE_LEAVES]
            may = may and any(one & TRUE for one in failures)
            may_not = may_not or all(one & ~TRUE for one in failures)
        return may, may_not


def _is_judgeable(one: _Asked, value: Json) -> bool:
    if len(one.keys) > 1:  # of frustration and wait, both of which are numbers
        return True
    try:
        one.answer((value,))
    except ImpossibleValue:
        return False
    return True
