"""What the defaults cost: the machine as one gets it by following the documentation of `transitions` and `attrs`.

The stock classes of `transitions`, with its loggers at their own level and without a handler; and a frozen snapshot that
`attrs.evolve` copies for each field that a callback changes, in place of a draft. The milder form, one copy a step with all
changes at once, is there too. Guards, callbacks, fences and timers are ours in either form, and so are the steps that come out.

The draft of a step is exchanged for the time of a measurement, since no host would ever want to.
"""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import attrs

from handoff_kit.machines.conversation import Conversation, Draft, drafted, sealed
from handoff_kit.machines.engine import Engine
from handoff_kit.machines.table import new_engine

__all__ = ["evolved_each_change", "evolved_once", "stock_engine"]

# `handoff_kit.machines.step` is the function; its module is asked for by name.
_STEP: Any = importlib.import_module("handoff_kit.machines.step")
_SLATE: Any = importlib.import_module("handoff_kit.machines.slate")
_NAMES = tuple(field.name for field in attrs.fields(Draft))


def stock_engine() -> Engine:
    """Return the conversation's machine with the stock classes of `transitions`."""
    return new_engine(slim=False)


class _Here:
    """The one step under way: the frozen snapshot as it stands, or as it was before.

    It is not kept on the draft, which has the slots of a draft only, nor on a class, whose change would cost everybody.
    """

    __slots__ = ("snapshot",)
    snapshot: Conversation


_HERE = _Here()


class _Evolving(Draft):
    """A draft whose changes each copy the frozen snapshot; reading costs what it always does."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)
        _HERE.snapshot = attrs.evolve(_HERE.snapshot, **{name: value})


def _evolving(conversation: Conversation) -> Draft:
    _HERE.snapshot = conversation
    draft = drafted(conversation)
    draft.__class__ = _Evolving
    return draft


def _evolved(draft: Draft) -> Conversation:
    return _HERE.snapshot if isinstance(draft, _Evolving) else sealed(draft)


class _Noting(Draft):
    """A draft whose changes are looked for when it is sealed."""

    __slots__ = ()


def _noting(conversation: Conversation) -> Draft:
    _HERE.snapshot = conversation
    draft = drafted(conversation)
    draft.__class__ = _Noting
    return draft


def _evolved_at_once(draft: Draft) -> Conversation:
    if not isinstance(draft, _Noting):
        return sealed(draft)
    before = _HERE.snapshot
    changes = {name: value for name in _NAMES if (value := getattr(draft, name)) is not getattr(before, name)}
    return attrs.evolve(before, **changes)


@contextmanager
def _exchanged(make: Any, seal: Any) -> Iterator[None]:
    _SLATE.drafted, _STEP.sealed = make, seal
    try:
        yield
    finally:
        _SLATE.drafted, _STEP.sealed = drafted, sealed


def evolved_each_change() -> Any:
    """Return a context in which each change of a field is one `attrs.evolve` of the snapshot."""
    return _exchanged(_evolving, _evolved)


def evolved_once() -> Any:
    """Return a context in which all changes of a step are one `attrs.evolve` of the snapshot."""
    return _exchanged(_noting, _evolved_at_once)
