"""Callbacks of the conversation's table: each changes the draft and returns effects by adding them to the slate.

They perform nothing. A callback's name is a word of the table; the modules group them by whose side they are about.
"""

from collections.abc import Callable
from typing import Any

from ..refusals import REFUSALS
from ..slate import Slate
from . import ai, desk, people, records, waiting

__all__ = ["CALLBACKS"]


def _refusal(name: str) -> Callable[[Slate], None]:
    def refuse(slate: Slate) -> None:
        slate.refuse(name, state=str(slate.before.state))

    return refuse


#: Every callback by its name.
CALLBACKS: dict[str, Callable[[Any], None]] = {
    **{f"refuse_{name}": _refusal(name) for name in REFUSALS},
    **{name: getattr(module, name) for module in (ai, desk, people, records, waiting) for name in module.__all__},
}
