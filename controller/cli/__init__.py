"""The `handoff` command: one sub-command a module."""

from .main import main

__all__ = ["main"]
