"""The page itself: rows and pictures into HTML. It loads nothing from anywhere, and prints."""

import re
from importlib import resources

import attrs
from markupsafe import Markup, escape

from handoff_kit.machines import Policy
from handoff_kit.machines.diagram import MACHINES, Arrow, Graph, Wanted
from handoff_kit.machines.diagram.dot import dot_of
from handoff_kit.machines.diagram.palette import DARK, LIGHT, Palette
from handoff_kit.machines.lint import lint
from handoff_kit.machines.overview import queue_rows, trigger_rows
from handoff_kit.machines.wording import span

from ..svg import svg_of
from .facts import language_columns, seen_rows, text_rows, timeline, timer_rows
from .watching import Sessions

__all__ = ["page_of"]


def page_of(policy: Policy, sessions: Sessions | None = None) -> str:
    """Return the review page of a policy as HTML.

    Args:
        sessions: what recorded sessions showed under it, if any.

    Raises:
        NoGraphviz: nothing that draws the picture was found.
    """
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    environment.filters["figures"] = _figures
    environment.filters["span"] = span
    template = environment.from_string(_read("page.html"))
    wanted = Wanted(machine=MACHINES["conversation"], policy=policy)
    graph = wanted.graph()
    queues = queue_rows(policy)
    return template.render(
        policy=policy,
        style=Markup(_read("page.css").replace("/* colours */", _colours())),
        picture=Markup(svg_of(dot_of(graph, policy, counts=_counts(graph, sessions) if sessions is not None else None))),
        machine=graph.machine,
        triggers=trigger_rows(policy),
        queues=queues,
        timelines={queue.name: timeline(policy, queue) for queue in queues},
        timers=timer_rows(policy),
        languages=language_columns(policy),
        texts=text_rows(policy),
        destinations=policy.destination,
        seen=seen_rows(policy),
        findings=lint(policy),
        sessions=sessions,
    )


def _read(name: str) -> str:
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def _counts(graph: Graph, sessions: Sessions) -> dict[Arrow, int]:
    counts: dict[Arrow, int] = {}
    for arrow in graph.arrows:
        ways = {(row.source, arrow.target, row.event) for row in arrow.rows}
        counts[arrow] = sum(sessions.arrows[way] for way in ways)
    return counts


def _colours() -> str:
    """Return the palettes as custom properties, so that the page and the picture have the same colours."""

    def properties(palette: Palette) -> str:
        return "".join(f"--{name.replace('_', '-')}:{value};" for name, value in attrs.asdict(palette).items())

    dark = properties(DARK)
    return f":root{{{properties(LIGHT)}}}\n@media screen and (prefers-color-scheme: dark){{:root{{{dark}}}}}"


def _figures(words: str) -> Markup:
    """Return words with their figures set off, so that a reader finds the numbers at a glance."""
    safe = str(escape(words))
    return Markup(re.sub(r"(?<![\w&#.])(-?\d[\d.,]*(?: (?:s|min|h|d|%)\b)?)", r"<b>\1</b>", safe))
