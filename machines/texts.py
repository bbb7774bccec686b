"""Figures in words, rounded so that nobody is promised a second."""

import math

__all__ = ["eta_in_words"]


def eta_in_words(seconds: float) -> str:
    """Return a wait rounded up: `1 minute`, `5 minutes`, and above an hour by quarters (`1 hour 15 minutes`).

    Args:
        seconds: the estimated wait, at least 0.
    """
    minutes = max(1, math.ceil(seconds / 60))
    if minutes > 60:
        minutes = math.ceil(minutes / 15) * 15
    hours, minutes = divmod(minutes, 60) if minutes >= 60 else (0, minutes)
    parts = [_counted(hours, "hour")] if hours else []
    if minutes or not hours:
        parts.append(_counted(minutes, "minute"))
    return " ".join(parts)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
