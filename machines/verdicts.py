"""What a guard answers: not a bare bool, but the numbers that it compared.

Kleene's three values are written True, False and None (unknown).
"""

import operator
from collections.abc import Sequence

import attrs

from .canonical import fields_writer, write_with
from .values import Json

__all__ = ["Verdict", "kleene_all", "kleene_any", "kleene_none"]


@attrs.frozen
class Verdict:
    """The answer of one guard, trigger or condition.

    Args:
        name: the guard's, trigger's or condition's name.
        holds: True, False, or None for unknown.
        value: what was found (None if absent).
        threshold: what it was compared with.
        margin: how far beyond the threshold, in the value's own unit; never negative where it holds, None where there is
            nothing to subtract.
        leaves: for a trigger, the verdict of each of its conditions.
        suppressed: for a trigger, that it held but the cool-down kept it back; `margin` is then still the condition's.
        error: what went wrong while it was evaluated (`guard_error`).
        cooldown_left_s: for a suppressed trigger, the seconds for which the cool-down still runs.
    """

    name: str
    holds: bool | None
    value: Json = None
    threshold: Json = None
    margin: float | None = None
    leaves: tuple["Verdict", ...] = ()
    suppressed: bool = False
    error: str | None = None
    cooldown_left_s: float | None = None
    _text: str | None = attrs.field(default=None, init=False, eq=False, repr=False)

    @property
    def text(self) -> str:
        """Its canonical text; made once, since most verdicts of a policy are the same objects again and again."""
        if self._text is None:
            object.__setattr__(self, "_text", _write(self))
        assert self._text is not None
        return self._text


_write = fields_writer(Verdict)
write_with(Verdict, operator.attrgetter("text"))


def kleene_all(values: Sequence[bool | None]) -> bool | None:
    """False if one is false, else unknown if one is unknown, else true."""
    return False if False in values else None if None in values else True


def kleene_any(values: Sequence[bool | None]) -> bool | None:
    """True if one is true, else unknown if one is unknown, else false."""
    return True if True in values else None if None in values else False


def kleene_none(values: Sequence[bool | None]) -> bool | None:
    """The negation of `kleene_any`."""
    held = kleene_any(values)
    return None if held is None else not held
