"""Timing in interleaved rounds: in each round every way has its turn, and what counts are the ratios within a round.

On a shared machine absolute times move by a factor of two between runs; ratios of neighbours in time hardly do. Time is processor
time of this process, so that what others do counts less; only where several processes work is it the time on the wall. What may
not go in here: what is measured.
"""

import statistics
import time
from collections.abc import Callable, Iterable, Mapping

import attrs

__all__ = ["Spread", "Way", "interleaved", "ratios", "spread"]

#: Do the work so many times.
Way = Callable[[int], object]


@attrs.frozen
class Spread:
    """What so many rounds gave."""

    median: float
    low: float
    high: float
    rounds: int


def spread(values: Iterable[float]) -> Spread:
    """Return the median and the bounds of the rounds' values."""
    known = list(values)
    return Spread(statistics.median(known), min(known), max(known), len(known))


def ratios(above: Iterable[float], below: Iterable[float]) -> Spread:
    """Return the spread of the per-round ratios."""
    return spread([one / other for one, other in zip(above, below, strict=True)])


#: So many times each way has its turn in a round in which it is repeated.
_TURNS = 5


def interleaved(
    ways: Mapping[str, Way], rounds: int, slice_s: float, clock: Callable[[], float] = time.process_time
) -> dict[str, list[float]]:
    """Return for each way the seconds of doing its work once, round by round.

    The order moves on by one place each turn, so that no way always follows the same other.

    Args:
        slice_s: about how long one way is repeated in a round, in several turns; 0 does the work once.
        clock: what measures, in seconds.
    """
    names = list(ways)
    turns = _TURNS if slice_s else 1
    repeats = {name: _repeats(ways[name], slice_s / turns) for name in names}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    first = 0
    for _ in range(rounds):
        taken = dict.fromkeys(names, 0.0)
        for _ in range(turns):
            for name in (*names[first:], *names[:first]):
                began = clock()
                ways[name](repeats[name])
                taken[name] += clock() - began
            first = (first + 1) % len(names)
        for name in names:
            seconds[name].append(taken[name] / (turns * repeats[name]))
    return seconds


def _repeats(way: Way, slice_s: float) -> int:
    """Warm a way up, and return how often it fits into a slice."""
    if not slice_s:
        return 1
    way(3)
    times = 1
    while True:
        began = time.process_time()
        way(times)
        taken = time.process_time() - began
        if taken >= slice_s / 4:
            return max(1, round(times * slice_s / taken))
        times *= 2
