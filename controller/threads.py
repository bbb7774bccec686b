"""The controller for hosts without an event loop: it runs on a thread of its own."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from handoff_kit.machines import Conversation, Event

from .controller import Controller
from .errors import ControllerClosed
from .outcome import Outcome
from .records import Delivery

__all__ = ["ThreadedController"]

T = TypeVar("T")


class ThreadedController:
    """Use it with `with ThreadedController.open(..) as controller`; its methods may be called from any thread."""

    def __init__(self, controller: Controller, loop: asyncio.AbstractEventLoop) -> None:
        self.controller = controller
        self._loop = loop

    @classmethod
    @contextmanager
    def open(cls, *args: Any, **options: Any) -> Iterator["ThreadedController"]:
        """Open a controller on a thread of its own, and close it at the end; the arguments are those of `Controller.open`."""
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="handoff-controller", daemon=True)
        thread.start()
        opening = Controller.open(*args, **options)
        try:
            controller = _done(opening.__aenter__(), loop)
            try:
                yield cls(controller, loop)
            finally:
                _done(opening.__aexit__(None, None, None), loop)
        finally:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()

    def handle(self, event: Event) -> Outcome:
        """Handle one event, as `Controller.handle` does."""
        return _done(self.controller.handle(event), self._loop)

    def drain(self) -> list[Delivery]:
        """Deliver what is owed by now, as `Controller.drain` does."""
        return _done(self.controller.drain(), self._loop)

    def delivered(self, *keys: str) -> None:
        """Say that the host has sent texts, as `Controller.delivered` does."""
        _done(self.controller.delivered(*keys), self._loop)

    def conversation(self, conversation: str) -> Conversation:
        """Return a conversation as it is, as `Controller.conversation` does."""
        return _done(self.controller.conversation(conversation), self._loop)


def _done(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    if loop.is_closed():
        work.close()
        raise ControllerClosed
    return asyncio.run_coroutine_threadsafe(work, loop).result()
