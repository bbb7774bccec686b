"""The shell around the machines: policies and recordings from files, replay over many sessions, the `handoff` command.

Everything that touches the world is here; decisions are in `handoff_kit.machines`.
"""

if not __name__.startswith("handoff_kit."):  # pragma: no cover - only from the repository's root
    raise ImportError("import handoff_kit.controller, not controller: the folder is mapped to that name when installed")

from .channels import CallableChannel, HostChannel, InlineChannel
from .clock import SystemClock
from .controller import Controller
from .dispatcher import Backoff
from .errors import (
    ClockAhead,
    ControllerClosed,
    DeliveryError,
    Rejected,
    StoreCorrupt,
    StoreError,
    StoreFull,
    StoreLocked,
    StoreTooNew,
    Unavailable,
    UnknownConversation,
    UnknownPolicy,
    VersionConflict,
)
from .logs import log_step
from .outcome import Outcome
from .ports import Bot, Channel, Clock, Desk, Notifier, Predictor, Redactor, Store, Summarizer
from .records import Delivery
from .shelf import BUNDLED_POLICIES, PolicyShelf, load_policy
from .threads import ThreadedController

__all__ = [
    "BUNDLED_POLICIES",
    "Backoff",
    "Bot",
    "CallableChannel",
    "Channel",
    "Clock",
    "ClockAhead",
    "Controller",
    "ControllerClosed",
    "Delivery",
    "DeliveryError",
    "Desk",
    "HostChannel",
    "InlineChannel",
    "Notifier",
    "Outcome",
    "PolicyShelf",
    "Predictor",
    "Redactor",
    "Rejected",
    "Store",
    "StoreCorrupt",
    "StoreError",
    "StoreFull",
    "StoreLocked",
    "StoreTooNew",
    "Summarizer",
    "SystemClock",
    "ThreadedController",
    "Unavailable",
    "UnknownConversation",
    "UnknownPolicy",
    "VersionConflict",
    "load_policy",
    "log_step",
]
