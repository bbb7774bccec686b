"""The shell around the machines: policies and recordings from files, replay over many sessions, the `handoff` command.

Everything that touches the world is here; decisions are in `handoff_kit.machines`.
"""

if not __name__.startswith("handoff_kit."):  # pragma: no cover - only from the repository's root
    raise ImportError("import handoff_kit.controller, not controller: the folder is mapped to that name when installed")

from .logs import log_step
from .shelf import BUNDLED_POLICIES, PolicyShelf, load_policy

__all__ = ["BUNDLED_POLICIES", "PolicyShelf", "load_policy", "log_step"]
