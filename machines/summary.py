"""The short text that says what the conversation is about.

It is the AI's or the desk's own where one was given; else it is composed by rule from intent, failed action and the
customer's last line.
"""

from .conversation import Draft

__all__ = ["summary_of"]

_LINE = 160  # characters of the customer's last line; chosen by us, since a summary must fit a notification


def summary_of(conversation: Draft) -> str:
    """Return the summary; empty if nothing is known yet."""
    handoff, reading = conversation.handoff, conversation.reading
    if handoff is not None and handoff.summary:
        return handoff.summary
    if reading is not None and reading.summary:
        return reading.summary
    parts = []
    if reading is not None and reading.intent:
        parts.append(f"About: {reading.intent.replace('_', ' ')}.")
    if reading is not None and reading.failed_action is not None:
        failed = reading.failed_action
        code = f" ({failed.error_code})" if failed.error_code else ""
        parts.append(f"Failed: {failed.name}{code}.")
    last = next((m.text for m in reversed(conversation.messages) if m.speaker == "customer" and m.text), None)
    if last is not None:
        parts.append(f"Last message: “{last if len(last) <= _LINE else last[: _LINE - 1] + '…'}”")
    return " ".join(parts)
