"""Three-valued logic: the tables in full, and the compiled combiner against a plain recursion."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handoff_kit.machines.conditions import Condition, Group, Leaf, leaves_of
from handoff_kit.machines.policy import Policy, Trigger
from handoff_kit.machines.triggers import plan_of
from handoff_kit.machines.verdicts import kleene_all, kleene_any, kleene_none

T, F, U = True, False, None
Holds = bool | None

PAIRS = [
    # left, right, all, any, none
    (T, T, T, T, F),
    (T, F, F, T, F),
    (T, U, U, T, F),
    (F, T, F, T, F),
    (F, F, F, F, T),
    (F, U, F, U, U),
    (U, T, U, T, F),
    (U, F, F, U, U),
    (U, U, U, U, U),
]


def test_the_tables_are_complete() -> None:
    assert {(left, right) for left, right, *_ in PAIRS} == set(itertools.product((T, F, U), repeat=2))


@pytest.mark.parametrize(("left", "right", "every", "some", "no"), PAIRS)
def test_all(left: Holds, right: Holds, every: Holds, some: Holds, no: Holds) -> None:
    assert kleene_all([left, right]) is every


@pytest.mark.parametrize(("left", "right", "every", "some", "no"), PAIRS)
def test_any(left: Holds, right: Holds, every: Holds, some: Holds, no: Holds) -> None:
    assert kleene_any([left, right]) is some


@pytest.mark.parametrize(("left", "right", "every", "some", "no"), PAIRS)
def test_none(left: Holds, right: Holds, every: Holds, some: Holds, no: Holds) -> None:
    assert kleene_none([left, right]) is no


@pytest.mark.parametrize("one", [T, F, U])
def test_a_single_condition_answers_for_itself(one: Holds) -> None:
    assert kleene_all([one]) is one
    assert kleene_any([one]) is one
    assert kleene_none([one]) is (None if one is None else not one)


_LEAF = st.just(Leaf("wants_handoff", True))
TREES = st.recursive(
    _LEAF,
    lambda inner: st.builds(Group, st.sampled_from(["all", "any", "none"]), st.lists(inner, min_size=1, max_size=4).map(tuple)),
    max_leaves=12,
)


def naive(condition: Condition, answers: list[Holds]) -> Holds:
    """Evaluate by the words of the definition, taking the leaves' answers from the front of the list."""
    if isinstance(condition, Leaf):
        return answers.pop(0)
    values = [naive(inner, answers) for inner in condition.conditions]
    if condition.kind == "all":
        if any(value is F for value in values):
            return F
        return U if any(value is U for value in values) else T
    some: Holds = F
    if any(value is T for value in values):
        some = T
    elif any(value is U for value in values):
        some = U
    if condition.kind == "any":
        return some
    return U if some is U else not some


@given(tree=TREES, data=st.data())
def test_the_compiled_combiner_is_the_plain_recursion(tree: Condition, data: st.DataObject) -> None:
    (trial,) = plan_of(Policy(trigger=(Trigger(name="t", when=tree),)))
    size = len(leaves_of(tree))
    answers = data.draw(st.lists(st.sampled_from([T, F, U]), min_size=size, max_size=size))
    assert trial.combine(tuple(answers)) is naive(tree, list(answers))
    assert len(trial.judges) == len(trial.on_message) == size
