"""Mermaid's `stateDiagram-v2`, as GitHub and many wikis draw it. What may not go in here: anything that only a browser can tell.

Mermaid cannot point from one frame into another, so that there are none. It ranks states by the order of the arrows: those of the
happy path come first, and keep their direction so.
"""

import re

from ..policy import Policy
from .graph import Arrow, Graph
from .labels import lines_of, lines_of_moves, titled
from .palette import DARK, LIGHT, Palette
from .wrapping import wrapped

__all__ = ["mermaid_of"]

#: What has a meaning of its own in a label, and the entity that stands for it.
_ENTITIES = {
    "#": "#35;",
    ";": "#59;",
    ":": "#58;",
    "<": "#lt;",
    ">": "#gt;",
    '"': "#quot;",
    "`": "#96;",
    "{": "#123;",
    "}": "#125;",
}


_ITEMS = 26  # characters of a bullet's line: Mermaid breaks labels at 200 pixels by itself


def mermaid_of(graph: Graph, policy: Policy | None = None, *, palette: Palette = LIGHT) -> str:
    """Return the graph as Mermaid text. A session's moves are numbered, and its states have a thick outline."""
    machine = graph.machine
    lines = ["---", f"title: {_quoted(titled(machine, policy))}", "---", "stateDiagram-v2", "  direction LR"]
    if palette is DARK:
        lines.insert(0, "%%{init: {'theme': 'dark'}}%%")
        lines = [*lines[1:4], lines[0], *lines[4:]]
    for node in graph.nodes:
        lines.append(f"  {node.name} : {node.name}<br/>{node.words}")
    initial = next(node for node in graph.nodes if node.initial)
    lines.append(f"  [*] --> {initial.name}")
    for bundle in graph.bundles:
        lines.append(f"  {bundle.name} : {bundle.words}")
    for arrow in _happy_first(graph):
        told = lines_of_moves(arrow.moves) or lines_of(arrow.rows, policy, triggers=arrow.happy)
        label = [_escaped(line) for line in wrapped(told, items=_ITEMS)]
        lines.append(f"  {arrow.source} --> {arrow.target} : {'<br/>'.join(label)}")
    lines += [f"  {node.name} --> [*]" for node in graph.nodes if node.final]
    for kind in dict.fromkeys(node.kind for node in graph.nodes):
        fill, line = getattr(palette, kind), getattr(palette, f"{kind}_line")
        width = {"human": 3, "nobody": 1}.get(kind, 2)
        dashes = ",stroke-dasharray:5 4" if kind == "nobody" else ""
        lines.append(f"  classDef {kind} fill:{fill},stroke:{line},color:{palette.ink},stroke-width:{width}px{dashes}")
    if graph.bundles:
        lines.append(f"  classDef any fill:{palette.paper},stroke:{palette.nobody_line},color:{palette.faint},stroke-width:1px")
        lines += [f"  class {bundle.name} any" for bundle in graph.bundles]
    if any(node.visited for node in graph.nodes):
        lines.append(f"  classDef visited stroke:{palette.accent},stroke-width:5px")
    lines += [f"  class {node.name} {node.kind}" for node in graph.nodes]
    lines += [f"  class {node.name} visited" for node in graph.nodes if node.visited]
    return "\n".join(lines) + "\n"


def _happy_first(graph: Graph) -> list[Arrow]:
    happy = graph.machine.happy
    return sorted(graph.arrows, key=lambda arrow: happy.index(arrow.source) if arrow.happy else len(happy))


def _quoted(title: str) -> str:
    return '"' + title.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _escaped(line: str) -> str:
    return re.sub("|".join(map(re.escape, _ENTITIES)), lambda found: _ENTITIES[found[0]], line)
