"""`evolve`: a frozen value with some fields changed, as `attrs.evolve` does it, but without looking the fields up each time.

Values are made about once a step each, so this is where a good part of a step's time goes. It is the one module with such a
trick; `attrs.evolve` is the plain form of it, and a test holds the two equal for every class of the snapshot.
"""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import attrs

__all__ = ["evolve"]

T = TypeVar("T")

_KEEP: Any = object()


@functools.cache
def _evolver(cls: type) -> Callable[..., Any]:
    """Return a function of the class's own: one keyword a field, and one call of the constructor."""
    fields = [field for field in attrs.fields(cls) if field.init]
    parameters = ", ".join(f"{field.name}=KEEP" for field in fields)
    arguments = ", ".join(
        f"{f'{field.name}=' if field.kw_only else ''}o.{field.name} if {field.name} is KEEP else {field.name}" for field in fields
    )
    names: dict[str, Any] = {"KEEP": _KEEP, "cls": cls}
    exec(f"def evolve(o, {parameters}): return cls({arguments})", names)
    made: Callable[..., Any] = names["evolve"]
    return made


def evolve(value: T, **changes: Any) -> T:
    """Return `value` with the changes; raises `TypeError` for a field that its class does not have."""
    cls: Any = value.__class__
    changed: T = _evolver(cls)(value, **changes)
    return changed
