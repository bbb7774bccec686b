"""Recorded sessions: reading them line by line, replaying many of them, writing them with their steps."""
