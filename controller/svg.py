"""SVG out of DOT, by a Graphviz that runs as a program: the extra `diagrams` brings one, a `dot` on the PATH serves too.

What comes out of Graphviz is made the same for every build and every paper: its version and comments go, and a style sheet is
added that knows dark screens. Print is always on white paper.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import attrs

from handoff_kit.machines import HandoffError
from handoff_kit.machines.diagram import DARK, LIGHT, Palette

__all__ = ["NoGraphviz", "svg_of"]

_PROGRAMS = ("graphviz-pure", "dot")
_TIMEOUT_S = 60  # a machine of ours takes a fraction of a second; chosen by us, so that a broken program is noticed


class NoGraphviz(HandoffError):
    """Nothing that draws was found, or it failed."""


def svg_of(dot: str, *, auto: bool = True) -> str:
    """Return the picture of a DOT text as SVG.

    Args:
        dot: as `machines.diagram` writes it, in the light palette where `auto`.
        auto: follow the reader's screen: dark where it is dark.

    Raises:
        NoGraphviz: no program was found, or it failed.
    """
    program = next(_programs(), None)
    if program is None:
        raise NoGraphviz(
            "an SVG needs Graphviz: pip install 'handoff-kit[diagrams]', or put `dot` on the PATH "
            "(--format dot and --format mermaid need nothing)"
        )
    try:
        done = subprocess.run(
            [program, "-Tsvg"],
            input=dot.encode(),
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=True,
            env={**os.environ, "LC_ALL": "C"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = getattr(error, "stderr", None) or str(error).encode()
        raise NoGraphviz(f"{program} did not draw: {told.decode(errors='replace').strip()}") from None
    return _settled(done.stdout.decode("utf-8"), auto=auto)


def _programs() -> Iterator[str]:
    """Yield programs that draw: beside this Python first, so that a virtual environment need not be activated."""
    beside = Path(sys.executable).parent
    for name in _PROGRAMS:
        found = shutil.which(name, path=str(beside)) or shutil.which(name)
        if found is not None:
            yield found


def _settled(svg: str, *, auto: bool) -> str:
    svg = re.sub(r"<!--.*?-->\n?|<\?xml.*?\?>\n?|<!DOCTYPE.*?>\n?", "", svg, flags=re.DOTALL)
    # Sizes in points would make a browser draw it larger than it was laid out.
    svg = re.sub(r'(<svg width="[\d.]+)pt(" height="[\d.]+)pt"', r'\1\2" role="img"', svg, count=1)
    svg = svg.replace('xmlns:xlink="http://www.w3.org/1999/xlink"', "").replace(' xml:space="preserve"', "")
    # A tooltip on the paper itself would show wherever the mouse rests; the names of nodes and arrows stay.
    head, body = svg.split(">", 1)
    return f"{head}>\n<style>{_style(auto=auto)}</style>{body}".replace(" \n", "\n")


def _style(*, auto: bool) -> str:
    rules = [
        "text{font-family:Arial,Helvetica,'Liberation Sans',sans-serif}",
        # A halo lets lines pass behind words without striking them through.
        f".edge text{{paint-order:stroke;stroke:{LIGHT.paper};stroke-width:4px;stroke-linejoin:round}}",
        ".node text:first-of-type{font-weight:bold}",
        ".node.any text:first-of-type{font-weight:normal}",
    ]
    if auto:
        rules.append(f"@media screen and (prefers-color-scheme:dark){{{''.join(_dark())}}}")
    return "\n".join(rules)


def _dark() -> Iterator[str]:
    """Yield rules that turn the light palette, as it stands in the picture's attributes, into the dark one."""
    for field in attrs.fields(Palette):
        light, dark = getattr(LIGHT, field.name), getattr(DARK, field.name)
        yield f'[fill="{light}"]{{fill:{dark}}}[stroke="{light}"]{{stroke:{dark}}}'
    yield f".edge text{{stroke:{DARK.paper}}}"
