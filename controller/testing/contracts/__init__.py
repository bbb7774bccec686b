"""What every adapter must pass, one suite a port. They need pytest.

A suite is a plain class; an adapter's test is a subclass with `make`:

    class TestMyStore(StoreContract):
        def make(self):
            return MyStore(...)

The methods run the loop themselves, so that no plugin is needed.
"""

import pytest

# Before the modules are imported: then a failing assertion shows its values.
_MODULES = ("bot", "channel", "desk", "kept", "log", "outbox", "running", "script", "store", "streams")
pytest.register_assert_rewrite(*(f"{__name__}.{name}" for name in _MODULES))

from .bot import BotContract  # noqa: E402
from .channel import ChannelContract  # noqa: E402
from .desk import DeskContract  # noqa: E402
from .running import run  # noqa: E402
from .store import StoreContract  # noqa: E402

__all__ = ["BotContract", "ChannelContract", "DeskContract", "StoreContract", "run"]
