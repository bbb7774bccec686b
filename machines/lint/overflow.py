"""Rules over widening: to whom a queue's items are opened, and whether that leads anywhere.

What may not go in here: when steps run (`queues`).
"""

from collections.abc import Iterator

import attrs

from ..policy import Policy
from .findings import Finding
from .names import tier_of
from .queues import no_later

__all__ = ["lint_overflow"]


@attrs.frozen
class _Edge:
    """A step that opens one queue's items to the tier of another."""

    place: str
    to: int


def lint_overflow(policy: Policy) -> Iterator[Finding]:
    """Yield widening that leads in a circle, or to who may take the item already."""
    edges: list[list[_Edge]] = []
    for index, queue in enumerate(policy.queue):
        own = tier_of(policy, queue.name)
        edges.append([])
        for at, step in enumerate(queue.step):
            place = f"queue[{index}].step[{at}].tier"
            if step.do != "widen":
                continue
            if step.tier == own:
                sentence = f"{queue.name} widens to {own}, which is its own tier."
                yield Finding("overflow_cycle", place, sentence, "name another tier, or take the step out")
                continue
            yield from _again(policy, index, at, place)
            edges[-1] += [_Edge(place, to) for to, other in enumerate(policy.queue) if tier_of(policy, other.name) == step.tier]
    for start, out in enumerate(edges):
        told = set()
        for edge in out:
            path = _way_back(edges, edge, start) if edge.to > start and edge.place not in told else None
            if path is not None:
                told.add(edge.place)
                names = [policy.queue[start].name, *(policy.queue[one.to].name for one in path)]
                yield Finding(
                    "overflow_cycle",
                    " -> ".join(one.place for one in path),
                    f"{' widens to '.join(names)}: who is full sends to who is full.",
                    "take one of these steps out, or let it lead to a tier outside the circle",
                )


def _way_back(edges: list[list[_Edge]], first: _Edge, start: int) -> list[_Edge] | None:
    """Return the shortest circle that begins with an edge, among queues that stand no earlier in the file than its start."""
    paths = [[first]]
    seen = {first.to}
    for path in paths:
        for edge in edges[path[-1].to]:
            if edge.to == start:
                return [*path, edge]
            if edge.to > start and edge.to not in seen:
                seen.add(edge.to)
                paths.append([*path, edge])
    return None


def _again(policy: Policy, index: int, at: int, place: str) -> Iterator[Finding]:
    queue = policy.queue[index]
    step = queue.step[at]
    for other, earlier in enumerate(queue.step):
        alike = earlier.do == "widen" and earlier.tier == step.tier and earlier.only in (None, step.only)
        if alike and no_later(queue.step, other, at):
            sentence = f"{queue.name} widens to {step.tier} again, to which step[{other}] opened it before: this changes nothing."
            yield Finding("dead_end", place, sentence, "name a tier that is farther away, or take the step out")
            return
