"""What the machine declines, and in which words: values, not exceptions. The list is closed."""

from collections.abc import Mapping

import attrs

from .values import Json

__all__ = ["REFUSALS", "Refusal"]

#: Every name that a refusal may have, each with the sentence that a support lead reads.
REFUSALS: dict[str, str] = {
    "stale_epoch": "It was composed before the floor changed hands, so it is kept on record and not sent.",
    "already_answered": "The customer's message that it answers was answered already.",
    "not_owner": "Only the owner of the conversation may do this, and somebody else holds it.",
    "stale_offer": "That offer is no longer pending.",
    "not_offered": "The conversation is not offered to this agent.",
    "stale_timer": "That timer is no longer owed, or not yet due.",
    "over_capacity": "The agent has no room for another conversation.",
    "unknown_ticket": "No ticket is awaited, so this one is not ours.",
    "transfer_limit": "The conversation was transferred as often as the policy allows.",
    "guard_error": "A guard could not be evaluated, so nothing was moved.",
    "not_allowed_here": "That cannot happen in the state in which the conversation is.",
    "unfenced": "The policy requires that every turn of the AI states its epoch.",
}


@attrs.frozen
class Refusal:
    """Why an event was not accepted; the conversation is byte for byte as it was."""

    name: str
    facts: Mapping[str, Json] = attrs.field(factory=dict)

    @property
    def sentence(self) -> str:
        """The reason in words."""
        return REFUSALS[self.name]
