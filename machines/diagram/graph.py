"""The neutral graph of a machine: what every renderer draws, made of the table's rows.

A picture shows moves. Rows that only change data, and refusals, are in the Markdown table and not here. Arrows that leave several
states in the same way are drawn once: from a region, where they leave all of its states, or from a bundle of states. What may not
go in here: words of labels (in `labels`), the syntax of any format.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Literal

import attrs

from ..agents import PRESENCE_ROWS
from ..engine import Row
from ..offers import OFFER_ROWS, OfferState
from ..states import AGENT_STATES, WAITING_STATES, Presence, State, owner_of
from ..table import ROWS

__all__ = ["MACHINES", "Arrow", "Bundle", "Graph", "Machine", "Move", "Node", "Region", "graph_of"]

#: Who acts in a state; renderers give each a colour and a shape.
Kind = Literal["ai", "system", "human", "nobody"]

#: From how many states an arrow must leave in the same way to be drawn once, from a bundle; chosen by us: below it a bundle is
#: harder to read than its arrows.
_BUNDLED = 4


@attrs.frozen
class Region:
    """States that belong together and are drawn in one frame."""

    name: str
    words: str
    states: tuple[str, ...]


@attrs.frozen
class Machine:
    """A machine as something to draw.

    Args:
        states: the initial one first.
        kinds: who acts in a state.
        words: a few words under a state's name.
        happy: the path that should read in one direction.
    """

    name: str
    title: str
    states: tuple[str, ...]
    rows: tuple[Row, ...]
    kinds: Mapping[str, Kind]
    words: Mapping[str, str]
    happy: tuple[str, ...]
    final: frozenset[str] = frozenset()
    regions: tuple[Region, ...] = ()


@attrs.frozen
class Move:
    """One step of a recorded session that is highlighted, numbered from 1; `words` say what led to it."""

    number: int
    source: str
    target: str
    words: str = ""


@attrs.frozen
class Node:
    """A state in the picture."""

    name: str
    kind: Kind
    words: str
    initial: bool = False
    final: bool = False
    visited: bool = False


@attrs.frozen
class Bundle:
    """Several states that one arrow leaves from, drawn as a small box of their names (`of` is empty for all states)."""

    name: str
    of: tuple[str, ...]
    words: str


@attrs.frozen
class Arrow:
    """All rows that lead from one place to one state.

    Args:
        source: a state, a region or a bundle, by name.
        moves: the highlighted moves that went this way.
    """

    source: str
    target: str
    rows: tuple[Row, ...]
    happy: bool = False
    moves: tuple[Move, ...] = ()


@attrs.frozen
class Graph:
    """What is drawn."""

    machine: Machine
    nodes: tuple[Node, ...]
    arrows: tuple[Arrow, ...]
    bundles: tuple[Bundle, ...] = ()
    regions: tuple[Region, ...] = ()


def graph_of(
    machine: Machine,
    *,
    leave_out: Iterable[Row] = (),
    moves: Sequence[Move] = (),
    regions: bool = True,
) -> Graph:
    """Return the graph of a machine.

    Args:
        leave_out: rows that a policy rules out; a pair that a move went is drawn all the same.
        moves: a session's path.
        regions: draw what leaves all states of a region in the same way once, from its frame; not every format can.
    """
    went: dict[tuple[str, str], list[Move]] = {}
    for move in moves:
        went.setdefault((move.source, move.target), []).append(move)
    out = set(leave_out)
    rows = [row for row in machine.rows if _moves(row) and (row not in out or (row.source, row.to) in went)]
    # What a move went is an arrow of its own, so that the path is seen.
    apart = [row for row in rows if (row.source, str(row.to)) in went]
    rest = [row for row in rows if (row.source, str(row.to)) not in went]
    gathered: dict[tuple[str, str], list[Row]] = {}
    rest, bundles = _into_bundles(machine, rest, gathered)
    if regions:
        rest = _into_regions(machine, rest, gathered)
    for row in (*apart, *rest):
        gathered.setdefault((row.source, str(row.to)), []).append(row)
    order = {row: index for index, row in enumerate(machine.rows)}
    arrows = [
        Arrow(
            source,
            target,
            tuple(sorted(found, key=order.__getitem__)),
            _is_happy(machine, source, target),
            tuple(went.get((source, target), ())),
        )
        for (source, target), found in gathered.items()
    ]
    arrows.sort(key=lambda arrow: (order[arrow.rows[0]], arrow.source, arrow.target))
    visited = {state for move in moves for state in (move.source, move.target)}
    nodes = [
        Node(
            name,
            machine.kinds[name],
            machine.words[name],
            initial=name == machine.states[0],
            final=name in machine.final,
            visited=name in visited,
        )
        for name in machine.states
    ]
    return Graph(machine, tuple(nodes), tuple(arrows), bundles, machine.regions if regions else ())


def _moves(row: Row) -> bool:
    """Whether a row moves: to another state, or to the same one where that changes something (another agent owns)."""
    return row.to is not None and row.refuses is None and (row.to != row.source or bool(row.do))


def _is_happy(machine: Machine, source: str, target: str) -> bool:
    sources = next((region.states for region in machine.regions if region.name == source), (source,))
    return any((one, target) in pairwise(machine.happy) for one in sources)


def _alike(machine: Machine, rows: list[Row]) -> list[list[Row]]:
    """Return groups of rows that leave different states in the same way.

    What stays within a region is left out: an arrow that begins at the region's frame could not point into it.
    """
    alike: dict[tuple[str, tuple[str, ...], str], list[Row]] = {}
    for row in rows:
        inside = any(row.source in region.states and row.to in region.states for region in machine.regions)
        if row.source != row.to and not inside:
            alike.setdefault((row.event, row.when, str(row.to)), []).append(row)
    return list(alike.values())


def _into_bundles(
    machine: Machine, rows: list[Row], gathered: dict[tuple[str, str], list[Row]]
) -> tuple[list[Row], tuple[Bundle, ...]]:
    """Move rows that leave many states in the same way into bundles; return the others, and the bundles."""
    groups = [found for found in _alike(machine, rows) if len(found) >= _BUNDLED]
    bundled = {row for found in groups for row in found}
    # The happy path keeps its arrows, also where a bundle would say all that they say.
    bare = {(row.source, str(row.to)) for row in rows} - {(row.source, str(row.to)) for row in rows if row not in bundled}
    kept = bare & set(pairwise(machine.happy))
    bundles: dict[tuple[str, ...], Bundle] = {}
    taken: set[Row] = set()
    for found in groups:
        mine = [row for row in found if (row.source, str(row.to)) not in kept]
        sources = tuple(state for state in machine.states if any(row.source == state for row in mine))
        words = _bundle_words(machine, sources, str(mine[0].to))
        bundle = bundles.setdefault(sources, Bundle(f"any_{len(bundles) + 1}", sources, words))
        gathered.setdefault((bundle.name, str(mine[0].to)), []).extend(mine)
        taken.update(mine)
    return [row for row in rows if row not in taken], tuple(bundles.values())


def _bundle_words(machine: Machine, sources: tuple[str, ...], target: str) -> str:
    others = [state for state in machine.states if state not in sources and state not in machine.final]
    if others in ([], [target]):
        return "any open state" if machine.final else "any other state"
    kinds = [kind for kind in _OWNERS if any(machine.kinds[state] == kind for state in sources)]
    if sources == tuple(state for state in machine.states if machine.kinds[state] in kinds):
        return f"any state of {' or '.join(_OWNERS[kind] for kind in kinds)}"
    return f"any of {', '.join(sources)}"


#: Whose a state is, by its kind.
_OWNERS: dict[str, str] = {"ai": "the AI", "system": "the system", "human": "an agent", "nobody": "nobody"}


def _into_regions(machine: Machine, rows: list[Row], gathered: dict[tuple[str, str], list[Row]]) -> list[Row]:
    """Move rows that leave all states of a region in the same way to the region; return the others."""
    left = rows
    for region in machine.regions:
        taken: set[Row] = set()
        for found in _alike(machine, left):
            mine = [row for row in found if row.source in region.states]
            if len(mine) == len(region.states):
                gathered.setdefault((region.name, str(mine[0].to)), []).extend(mine)
                taken.update(mine)
        left = [row for row in left if row not in taken]
    return left


def _kind(state: State) -> Kind:
    owner = owner_of(state, "a")
    return {"ai": "ai", "system": "system", "nobody": "nobody"}.get(owner, "human")  # type: ignore[return-value]


def _named(states: Iterable[str], order: Iterable[str]) -> tuple[str, ...]:
    wanted = set(states)
    return tuple(str(state) for state in order if state in wanted)


#: The three machines, by name.
MACHINES: dict[str, Machine] = {
    "conversation": Machine(
        name="conversation",
        title="A conversation and who holds it",
        states=tuple(map(str, State)),
        rows=ROWS,
        kinds={str(state): _kind(state) for state in State},
        words={
            "bot_active": "the AI answers",
            "escalation_pending": "the context is gathered",
            "queued": "the customer waits in line",
            "agent_active": "an agent answers",
            "copilot": "an agent answers, the AI drafts",
            "resumed_bot": "the AI answers again",
            "callback_pending": "an answer later is promised",
            "wrap_up": "paperwork",
            "closed": "the end",
        },
        happy=("bot_active", "escalation_pending", "queued", "agent_active", "copilot", "resumed_bot"),
        final=frozenset({"closed"}),
        regions=(
            Region("waiting", "the customer waits: the system holds the reply", _named(WAITING_STATES, State)),
            Region("agents", "an agent holds the reply", _named(AGENT_STATES, State)),
        ),
    ),
    "offer": Machine(
        name="offer",
        title="An offer that rings at one agent",
        states=tuple(map(str, OfferState)),
        rows=OFFER_ROWS,
        kinds={"pending": "system", "accepted": "human", "declined": "nobody", "expired": "nobody", "rescinded": "nobody"},
        words={
            "pending": "it rings at one agent",
            "accepted": "the agent takes the conversation",
            "declined": "the agent said no",
            "expired": "nobody answered in time",
            "rescinded": "it was taken back",
        },
        happy=("pending", "accepted"),
        final=frozenset({"accepted", "declined", "expired", "rescinded"}),
    ),
    "presence": Machine(
        name="presence",
        title="An agent's presence",
        states=tuple(map(str, Presence)),
        rows=PRESENCE_ROWS,
        kinds={"offline": "nobody", "available": "human", "away": "nobody", "not_responding": "system"},
        words={
            "offline": "signed out, or lost",
            "available": "can be offered work",
            "away": "signed in, no new work",
            "not_responding": "set after a missed offer",
        },
        happy=("offline", "available"),
    ),
}
