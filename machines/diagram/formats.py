"""The text formats by name: from what is wanted to its text."""

from collections.abc import Callable, Mapping, Sequence

import attrs

from ..policy import Policy
from .dot import dot_of
from .graph import Graph, Machine, Move, graph_of
from .labels import ruled_out
from .markdown import markdown_of
from .mermaid import mermaid_of
from .palette import LIGHT, Palette
from .xstate import xstate_of

__all__ = ["FORMATS", "Wanted"]


@attrs.frozen(kw_only=True)
class Wanted:
    """What is to be drawn: a machine, perhaps with a policy's numbers, perhaps with a session's moves."""

    machine: Machine
    policy: Policy | None = None
    moves: Sequence[Move] = ()
    palette: Palette = LIGHT

    def graph(self, *, regions: bool = True) -> Graph:
        """Return the graph without the rows that the policy rules out."""
        out = ruled_out(self.machine.rows, self.policy) if self.policy is not None else ()
        return graph_of(self.machine, leave_out=out, moves=self.moves, regions=regions)


#: Every text format by its name.
FORMATS: Mapping[str, Callable[[Wanted], str]] = {
    "mermaid": lambda wanted: mermaid_of(wanted.graph(regions=False), wanted.policy, palette=wanted.palette),
    "dot": lambda wanted: dot_of(wanted.graph(), wanted.policy, palette=wanted.palette),
    "markdown": lambda wanted: markdown_of(wanted.machine, wanted.policy, wanted.moves),
    "xstate": lambda wanted: xstate_of(wanted.machine, wanted.policy),
}
