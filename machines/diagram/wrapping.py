"""Lines of labels, broken where a reader would break them."""

import re
import textwrap
from collections.abc import Iterable

__all__ = ["wrapped"]

_WIDTH = 28  # characters of a label's line; chosen by us: the picture is then about twice as wide as high
_GLUE = "\0"  # stands for a space at which no line may break


def wrapped(lines: Iterable[str], width: int = _WIDTH, items: int = _WIDTH + 10) -> list[str]:
    """Return a label's lines, none much longer than `width`; what goes on is indented, `- ` becomes a bullet.

    Args:
        items: how long the lines of bullets may be.
    """
    out: list[str] = []
    for line in lines:
        item = line.startswith("- ")
        parts = textwrap.wrap(
            _kept_together(line[2:] if item else line, width),
            items if item else width,
            initial_indent="• " if item else "",
            subsequent_indent="   " if item else "  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        out += [part.replace(_GLUE, " ") for part in parts]
    return out


def _kept_together(line: str, width: int) -> str:
    """Return a line in which `timer queue`, figures with their unit, and guards that fit into a line are not broken."""
    line = re.sub(r"\[[^]]*\]", lambda found: found[0].replace(" ", _GLUE) if len(found[0]) <= width else found[0], line)
    return re.sub(r"\btimer (?=\w)|(?<=\d) (?=(?:s|min|h|d)\b)", lambda found: found[0].replace(" ", _GLUE), line)
