"""Each fact's domain, cut into cells in which every condition answers alike.

The cuts are the thresholds that occur, the bounds of the domain, and for the predicted frustration and the estimated wait also
where the two meet. A cell is stood for by one of its values. Domains are never narrower than what can happen: facts are taken as
independent of each other, though in truth the trend follows from the sentiments. Sums of floats are taken as exact.
What may not go in here: how a value is judged (`imagined`), combinators, triggers.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence

from ..conditions import Comparison, Leaf
from ..facts import ImpossibleValue, as_number
from ..values import Json
from .imagined import NO_CODE, Key, Moment, facts_read

__all__ = ["SAID", "values_of"]

#: Facts of which a customer or the AI may say several at once.
SAID = frozenset({"said", "pressed", "reply"})
#: Facts that a turn brings: without one they are absent. (The trend is not among them: it is made of earlier turns as well.)
_OF_A_TURN: Mapping[str, Json] = {
    "intent": None,
    "confidence": None,
    "sentiment": None,
    "failure": None,
    "wish": False,
    "reply": (),
    "frustration": None,
}
_NEVER_ABSENT = frozenset({"channel", "misses", "turns", "elapsed", "wish", "identified", "said", "pressed", "reply"})


def values_of(key: Key, leaves: Sequence[tuple[Leaf, str]], moment: Moment) -> list[Json]:
    """Return a value of each cell of a fact, those that are known first.

    For what is said these are the phrases one by one: who combines them knows how many there are.

    Args:
        leaves: all leaves that are asked, each with its trigger's queue.
    """
    name = key[0]
    if moment is Moment.SILENCE and name in _OF_A_TURN:
        return [_OF_A_TURN[name]]
    here = [leaf for leaf, queue in leaves if key in facts_read(leaf, queue, moment)]
    values = list(_CELLS[name](here, moment))
    if name == "frustration":
        values = _between([*values, *_meetings(leaves)], 0, math.inf)
    elif name == "eta":
        frustrations = [one for one in values_of(("frustration",), leaves, moment) if one is not None]
        margins = [leaf.threshold for leaf in here if leaf.kind == "frustration_before_service"]
        values = _between([*values, *(at - margin for at in frustrations for margin in margins)], 0, math.inf)
    return values if name in _NEVER_ABSENT else [*values, None]


def _meetings(leaves: Sequence[tuple[Leaf, str]]) -> list[float]:
    """Return the frustrations at which some margin meets the end of a cell of its queue's wait."""
    margins = [(leaf.threshold, queue) for leaf, queue in leaves if leaf.kind == "frustration_before_service"]
    waits = [(leaf.threshold, queue) for leaf, queue in leaves if leaf.kind == "queue_wait_at_least_s"]
    return [
        margin + wait for margin, queue in margins for wait in (0.0, *(threshold for threshold, other in waits if other == queue))
    ]


def _between(cuts: Iterable[float], low: float, high: float) -> list[float]:
    """Return each cut within the bounds, a value between each two of them, and one beyond the last where there is no bound."""
    inside = sorted({cut for cut in (*cuts, low, high) if low <= cut <= high and math.isfinite(cut)})
    values = list(inside)
    values += [left + (right - left) / 2 for left, right in itertools.pairwise(inside)]
    if low == -math.inf:
        values.append(_beyond(inside[0], -1) if inside else 0.0)
    if high == math.inf and inside:
        values.append(_beyond(inside[-1], 1))
    return sorted(set(values))


def _beyond(cut: float, sign: int) -> float:
    farther = cut + sign * max(1.0, abs(cut))
    return farther if math.isfinite(farther) else math.copysign(math.nextafter(math.inf, 0), sign)


def _numbers(low: float, high: float) -> "Cells":
    return lambda leaves, _: _between((leaf.threshold for leaf in leaves), low, high)


def _wholes(low: Callable[[Moment], int]) -> "Cells":
    def cells(leaves: list[Leaf], moment: Moment) -> list[int]:
        thresholds = [leaf.threshold for leaf in leaves]
        least = low(moment)
        return sorted({least, *(one for at in thresholds for one in (at - 1, at) if one >= least)})

    return cells


def _words_in(leaves: list[Leaf]) -> list[str]:
    thresholds = [(leaf.threshold,) if isinstance(leaf.threshold, str) else leaf.threshold for leaf in leaves]
    return list(dict.fromkeys(itertools.chain.from_iterable(thresholds)))


def _another(words: Iterable[str]) -> str:
    word, known = "something_else", set(words)
    while word in known:
        word += "_"
    return word


def _words(leaves: list[Leaf], _: Moment) -> list[str]:
    words = _words_in(leaves)
    return [*words, _another(words)]


def _failures(leaves: list[Leaf], moment: Moment) -> list[str]:
    return [*_words([leaf for leaf in leaves if leaf.kind == "error_code_in"], moment), NO_CODE]


def _scalars(leaves: list[Leaf], _: Moment) -> list[Json]:
    """Return numbers by the thresholds, texts, and true and false; a text that is a plain decimal number counts as both."""
    operands: list[Json] = []
    for leaf in leaves:
        wanted: Comparison = leaf.threshold
        if wanted.operator != "present":
            operands += wanted.operand if isinstance(wanted.operand, tuple) else (wanted.operand,)
    texts = [one for one in operands if isinstance(one, str)]
    cuts = [number for one in operands if not isinstance(one, bool) and (number := _number(one)) is not None]
    texts = list(dict.fromkeys(texts))
    return [*_between(cuts, -math.inf, math.inf), *texts, _another(texts), True, False]


def _number(value: Json) -> float | None:
    try:
        return float(as_number(value))
    except ImpossibleValue:
        return None


def _flags(_: list[Leaf], __: Moment) -> list[bool]:
    return [True, False]


def _said(leaves: list[Leaf], _: Moment) -> list[tuple[str, ...]]:
    return [(), *((phrase,) for phrase in _words_in(leaves))]


#: Returns a value of each cell of a fact, absence aside, for the leaves that read it.
Cells = Callable[[list[Leaf], Moment], Sequence[Json]]

_CELLS: Mapping[str, Cells] = {
    "intent": _words,
    "confidence": _numbers(0, 1),
    "sentiment": _numbers(-1, 1),
    # The steepest line through three values or more from -1 to 1 goes through -1, 0 and 1.
    "trend": _numbers(-1, 1),
    "misses": _wholes(lambda moment: 1 if moment is Moment.SILENCE else 0),
    "turns": _wholes(lambda moment: 0 if moment is Moment.SILENCE else 1),
    "elapsed": _numbers(0, math.inf),
    "failure": _failures,
    "wish": _flags,
    "said": _said,
    "pressed": _said,
    "reply": _said,
    "entity": _scalars,
    "attribute": _scalars,
    "customer_tier": _words,
    "lifetime_value": _numbers(-math.inf, math.inf),
    "identified": _flags,
    "channel": _words,
    "locale": _words,
    "frustration": lambda leaves, _: [leaf.threshold for leaf in leaves if leaf.kind == "frustration_within_s"],
    "eta": lambda leaves, _: [leaf.threshold for leaf in leaves if leaf.kind == "queue_wait_at_least_s"],
    "open": _flags,
    "available": _wholes(lambda _: 0),
}
