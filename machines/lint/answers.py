"""Sets of answers, as bits: what a condition may answer while only some of the facts are decided.

Kleene's logic as in `verdicts`, for sets: what comes out is each answer that some choice from the parts' sets gives.
What may not go in here: facts, leaves' own answers.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence

from ..conditions import Condition, Leaf

__all__ = ["ANY", "BIT", "TRUE", "UNKNOWN", "joined", "weighed"]

TRUE, FALSE, UNKNOWN = 1, 2, 4
ANY = TRUE | FALSE | UNKNOWN
BIT: Mapping[bool | None, int] = {True: TRUE, False: FALSE, None: UNKNOWN}


def _negated(mask: int) -> int:
    return mask & UNKNOWN | (FALSE if mask & TRUE else 0) | (TRUE if mask & FALSE else 0)


def _all(masks: list[int]) -> int:
    found = 0
    if any(mask & FALSE for mask in masks):
        found |= FALSE
    if all(mask & TRUE for mask in masks):
        found |= TRUE
    if all(mask & (TRUE | UNKNOWN) for mask in masks) and any(mask & UNKNOWN for mask in masks):
        found |= UNKNOWN
    return found


def _none(masks: list[int]) -> int:
    return _all([_negated(mask) for mask in masks])


_WEIGH: Mapping[str, Callable[[list[int]], int]] = {"all": _all, "any": lambda masks: _negated(_none(masks)), "none": _none}


def weighed(condition: Condition, masks: Iterator[int]) -> int:
    """Return what a condition may answer, where `masks` says it of its leaves, in order."""
    if isinstance(condition, Leaf):
        return next(masks)
    return _WEIGH[condition.kind]([weighed(inner, masks) for inner in condition.conditions])


def joined(masks: Sequence[int]) -> int:
    """Return the answers that are in any of the sets."""
    found = 0
    for mask in masks:
        found |= mask
    return found
