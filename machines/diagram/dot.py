"""DOT, the language of Graphviz; the SVG is made of it. What may not go in here: running Graphviz.

The happy path reads from left to right: its arrows are heavy and pull straight. Colour and shape say who acts; the shape alone
does it in grey print. No HTML labels, since not every build of Graphviz knows them.
"""

import textwrap
from collections.abc import Mapping

from ..policy import Policy
from .graph import Arrow, Bundle, Graph, Kind, Node, Region
from .labels import lines_of, lines_of_moves, titled
from .palette import LIGHT, Palette
from .wrapping import wrapped

__all__ = ["dot_of"]

_Attributes = Mapping[str, str | float]

_SHAPES: Mapping[Kind, _Attributes] = {
    "ai": {"shape": "box", "style": "rounded,filled", "penwidth": 1.6},
    "system": {"shape": "hexagon", "style": "filled", "penwidth": 1.6, "margin": "0.04,0.1"},
    "human": {"shape": "box", "style": "filled", "penwidth": 3.2},
    "nobody": {"shape": "box", "style": "filled,dashed", "penwidth": 1.2},
}
_LEGEND: Mapping[Kind, str] = {"ai": "the AI", "system": "the system", "human": "a person", "nobody": "nobody"}


def dot_of(
    graph: Graph, policy: Policy | None = None, *, palette: Palette = LIGHT, counts: Mapping[Arrow, int] | None = None
) -> str:
    """Return the graph as DOT.

    Args:
        policy: whose numbers the labels show.
        counts: how often each arrow was taken, shown in its label.
    """
    machine = graph.machine
    paper: _Attributes = {
        "rankdir": "LR",
        "outputorder": "edgesfirst",
        "compound": "true",
        "nodesep": 0.35,
        "ranksep": 0.35,
        "pad": 0.3,
    }
    title: _Attributes = {
        "label": titled(machine, policy),
        "labelloc": "t",
        "fontsize": 24,
        "fontcolor": palette.ink,
        "fontname": "Arial",
    }
    nodes = {node.name: node for node in graph.nodes}
    inside = {state for region in graph.regions for state in region.states}
    initial = next(node for node in graph.nodes if node.initial)
    lines = [
        f"digraph {machine.name} {{",
        f"  graph {_listed({**paper, 'bgcolor': palette.paper, **title})};",
        f"  node {_listed({'fontname': 'Arial', 'fontsize': 17, 'fontcolor': palette.ink, 'margin': '0.2,0.12'})};",
        f"  edge {_listed({'fontname': 'Arial', 'fontsize': 13, 'arrowsize': 0.85})};",
        *(f"  {_node(node, palette)}" for node in graph.nodes if node.name not in inside),
        *(line for region in graph.regions for line in _region(region, nodes, palette)),
        *(f"  {_bundle(bundle, palette)}" for bundle in graph.bundles),
        f"  start {_listed({'shape': 'point', 'width': 0.16, 'color': palette.ink, 'label': ''})};",
        f"  start -> {initial.name} {_listed({'color': palette.ink, 'penwidth': 1.6})};",
    ]
    for arrow in graph.arrows:
        told = wrapped(lines_of_moves(arrow.moves) or lines_of(arrow.rows, policy, triggers=arrow.happy))
        if counts is not None and counts[arrow]:
            told.insert(0, f"{counts[arrow]} ×")
        lines.append(f"  {_arrow(graph, arrow, nodes, told, palette)}")
    return "\n".join([*lines, *_legend(graph, palette), "}"]) + "\n"


def _look(kind: Kind, palette: Palette) -> dict[str, str | float]:
    return {"class": kind, **_SHAPES[kind], "fillcolor": getattr(palette, kind), "color": getattr(palette, f"{kind}_line")}


def _node(node: Node, palette: Palette) -> str:
    look = _look(node.kind, palette)
    if node.final:
        look["peripheries"] = 2
    if node.visited:
        look |= {"style": str(look["style"]).replace(",dashed", ""), "penwidth": 4, "color": palette.accent}
    look["label"] = f"{node.name}\n{node.words}"
    return f"{node.name} {_listed(look)};"


def _region(region: Region, nodes: Mapping[str, Node], palette: Palette) -> list[str]:
    frame: _Attributes = {
        "label": region.words,
        "style": "rounded",
        "margin": 14,
        "color": getattr(palette, f"{nodes[region.states[0]].kind}_line"),
        "penwidth": 1,
        "fontsize": 14,
        "fontcolor": palette.faint,
    }
    return [
        f"  subgraph cluster_{region.name} {{",
        f"    graph {_listed(frame)};",
        *(f"    {_node(nodes[state], palette)}" for state in region.states),
        "  }",
    ]


def _bundle(bundle: Bundle, palette: Palette) -> str:
    words = "\n".join(textwrap.wrap(bundle.words, 22, break_long_words=False))
    look: _Attributes = {"class": "any", "shape": "plaintext", "fontsize": 14, "margin": "0.05,0.03", "fontcolor": palette.faint}
    return f"{bundle.name} {_listed({**look, 'label': words})};"


def _arrow(graph: Graph, arrow: Arrow, nodes: Mapping[str, Node], told: list[str], palette: Palette) -> str:
    region = next((region for region in graph.regions if region.name == arrow.source), None)
    source = arrow.source if region is None else _exit(region, arrow, graph)
    kind = nodes[source].kind if source in nodes else "nobody"
    look: dict[str, str | float] = {"class": kind}
    if arrow.moves:
        look |= {"color": palette.accent, "fontcolor": palette.accent, "penwidth": 3.4, "weight": 20 if arrow.happy else 4}
    elif arrow.happy:
        look |= {"color": palette.happy, "fontcolor": palette.ink, "penwidth": 3, "weight": 40}
    else:
        look |= {"color": getattr(palette, f"{kind}_line"), "fontcolor": palette.faint, "penwidth": 1.1}
    # Graphviz ranks by arrows: one that goes back is given the other way round, so that the happy path keeps its direction.
    back = _goes_back(graph, source, arrow.target)
    if back:
        look["dir"] = "back"
    if region is not None:
        look["lhead" if back else "ltail"] = f"cluster_{region.name}"
    ends = (arrow.target, source) if back else (source, arrow.target)
    # The spaces keep words off the line; every line of a label is set to the left.
    label = "".join(f" {line} \r" for line in told)
    return f"{' -> '.join(ends)} {_listed({**look, 'label': label})};"


def _goes_back(graph: Graph, source: str, target: str) -> bool:
    happy = graph.machine.happy
    order = [*happy, *(state for state in graph.machine.states if state not in happy)]
    return source in order and order.index(target) < order.index(source)


def _exit(region: Region, arrow: Arrow, graph: Graph) -> str:
    """Return the state of a region at which its arrow begins: the first where it goes back, else the last."""
    return region.states[0] if _goes_back(graph, region.states[0], arrow.target) else region.states[-1]


def _legend(graph: Graph, palette: Palette) -> list[str]:
    kinds = [kind for kind in _LEGEND if any(node.kind == kind for node in graph.nodes)]
    words: _Attributes = {"shape": "plaintext", "fontsize": 14, "fontcolor": palette.faint, "label": "who acts"}
    lines = ["  subgraph cluster_legend {", f"    graph {_listed({'style': 'invis', 'label': '', 'margin': 4})};"]
    for kind in reversed(kinds):  # a rank is filled from below
        look = {**_look(kind, palette), "fontsize": 14, "margin": "0.1,0.05", "label": _LEGEND[kind]}
        lines.append(f"    legend_{kind} {_listed(look)};")
    lines.append(f"    legend {_listed(words)};")
    lines.append(f"    {{ rank=same; legend; {'; '.join(f'legend_{kind}' for kind in kinds)} }}")
    return [*lines, "  }"]


def _listed(attributes: _Attributes) -> str:
    return f"[{', '.join(f'{name}={_text(value)}' for name, value in attributes.items())}]"


#: What a quoted string of DOT writes in its own way; `\l` ends a line that is set to the left.
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\l"})


def _text(value: str | float) -> str:
    return f'"{value.translate(_ESCAPES)}"' if isinstance(value, str) else f"{value:g}"
