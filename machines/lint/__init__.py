"""The linter: what in a policy can never work, or does not do what it says.

`lint(policy)` is pure. What may not go in here: rules (each group has a module of its own).
"""

from ..policy import Policy
from .findings import RULES, Finding, in_order
from .names import lint_names
from .overflow import lint_overflow
from .queues import lint_queues
from .texts import lint_texts
from .times import lint_times
from .told import lint_told
from .triggers import lint_triggers

__all__ = ["RULES", "Finding", "lint"]


def lint(policy: Policy) -> tuple[Finding, ...]:
    """Return what is wrong with a policy, in the order of the file."""
    groups = (lint_names, lint_triggers, lint_told, lint_times, lint_texts, lint_queues, lint_overflow)
    return in_order(finding for group in groups for finding in group(policy))
