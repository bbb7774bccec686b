"""Who gathers the context for the person, where nobody else does."""

from typing import Any

from handoff_kit.machines import Conversation
from handoff_kit.machines.effects import PrepareContext

__all__ = ["RulesSummarizer"]


class RulesSummarizer:
    """Adds nothing: the payload composes its summary by rule.

    That summary is made of the intent, what failed and the customer's last line, as far as they may leave to the destination. So
    there is no model that could invent something, and nothing to wait for.
    """

    async def summarize(self, conversation: Conversation, wanted: PrepareContext, key: str) -> tuple[str | None, dict[str, Any]]:
        """Return no written summary and no facts."""
        return None, {}
