"""The pure core: what a conversation may do, and why. No I/O, no clock, no randomness.

`step` is the door: `step(policy, before, event) -> Step`. Hosts with a store of their own call it; everybody else uses
`handoff_kit.controller`.
"""

if not __name__.startswith("handoff_kit."):  # pragma: no cover - only from the repository's root
    raise ImportError("import handoff_kit.machines, not machines: the folder is mapped to that name when installed")

from . import effects, events
from .agents import Agent, AgentStep, step_agent
from .clocks import Clocks, clocks
from .conversation import Conversation
from .effects import *  # noqa: F403 - every effect is public, and the module lists them
from .errors import BadInput, HandoffError, HandoffUsageError, PolicyError, RecordingError, SnapshotError
from .events import *  # noqa: F403 - every event is public, and the module lists them
from .needs import Needs, needs
from .policy import Policy
from .policy_codec import parse_policy
from .refusals import REFUSALS, Refusal
from .replay import Replay, Replayed, replay
from .states import Presence, State
from .step import Step, advance, step
from .timers import due
from .values import (
    Action,
    Actor,
    Attachment,
    Customer,
    CustomerChange,
    FailedAction,
    Observed,
    Prediction,
    QueueFacts,
    Target,
)
from .verdicts import Verdict

__all__ = sorted(
    {
        *effects.__all__,
        *events.__all__,
        "Action",
        "Actor",
        "Agent",
        "AgentStep",
        "Attachment",
        "BadInput",
        "Clocks",
        "Conversation",
        "Customer",
        "CustomerChange",
        "FailedAction",
        "HandoffError",
        "HandoffUsageError",
        "Needs",
        "Observed",
        "Policy",
        "PolicyError",
        "Prediction",
        "Presence",
        "QueueFacts",
        "REFUSALS",
        "RecordingError",
        "Refusal",
        "Replay",
        "Replayed",
        "SnapshotError",
        "State",
        "Step",
        "Target",
        "Verdict",
        "advance",
        "clocks",
        "due",
        "needs",
        "parse_policy",
        "replay",
        "step",
        "step_agent",
    }
)
