"""One canonical log line a step, by structlog: ids, state, reasons; never a text that a person wrote.

Configuring structlog is the host's business.
"""

import logging
from typing import Any

import structlog

from handoff_kit.machines import Step

__all__ = ["LOGGER", "log_fact", "log_step"]

#: The library's logger; its level decides before any value is built.
LOGGER = logging.getLogger("handoff_kit")

_log: Any = structlog.stdlib.get_logger("handoff_kit")


def log_fact(level: int, fact: str, **facts: Any) -> None:
    """Log a fact other than a step: what happened, in the past tense, and its ids and numbers."""
    if LOGGER.isEnabledFor(level):
        _log.log(level, fact, **facts)


def log_step(step: Step) -> None:
    """Log one step at INFO: `handoff_stepped`, `handoff_moved` where the state changed, `handoff_refused` where refused."""
    if not LOGGER.isEnabledFor(logging.INFO):
        return
    after = step.after
    facts: dict[str, Any] = {
        "conversation_id": after.id,
        "version": after.version,
        "epoch": after.epoch,
        "trigger": step.event.trigger,
        "state": str(after.state),
    }
    if step.refused is not None:
        _log.info("handoff_refused", refused=step.refused.name, **facts)
        return
    if step.before is None or step.before.state is after.state:
        _log.info("handoff_stepped", **facts)
        return
    reasons = list(after.handoff.reasons) if after.handoff is not None else []
    _log.info("handoff_moved", moved_from=str(step.before.state), reasons=reasons, **facts)
