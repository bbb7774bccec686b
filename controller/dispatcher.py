"""The dispatcher: what the outbox owes goes to the ports, at least once, with the effect's key.

Each port has a bulkhead of its own, so that one that hangs stalls nobody else; of one conversation and port only one delivery is
under way, so that order is kept. What a port answers comes back as an event with an id made of the key, before the delivery is
settled: a crash in between repeats the delivery, and the repeated answer is recognised. What may not go in here: which effect an
event leads to, what an adapter does.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs

from handoff_kit.machines import (
    AiTurn,
    ContextReady,
    Conversation,
    DeliveryFailed,
    DraftProposed,
    Event,
    Step,
    TicketFailed,
    TicketOpened,
)
from handoff_kit.machines.effects import (
    AskBot,
    DraftForAgent,
    EndBotSession,
    NotifyAgents,
    OpenTicket,
    PrepareContext,
    ResumeBot,
    SendToCustomer,
)

from .errors import ControllerClosed, Rejected, StoreError, Unavailable
from .logs import log_fact
from .ports import Bot, Channel, Desk, Notifier, Summarizer
from .records import PORTS, Delivery, Settled

if TYPE_CHECKING:
    from .controller import Controller

__all__ = ["Backoff", "Dispatcher"]


@attrs.frozen(kw_only=True)
class Backoff:
    """When a failed delivery is tried again: doubling from `first_s` to `longest_s`, each time a random part of it.

    Full jitter keeps the retries of many conversations apart once a destination comes back (Brooker, "Exponential Backoff And
    Jitter", AWS Architecture Blog, 2015).

    Args:
        attempts: after so many a delivery is a dead letter.
    """

    first_s: float = 0.5
    longest_s: float = 60.0
    attempts: int = 10

    def wait_s(self, attempts: int, chance: float) -> float:
        """Return the seconds until the next attempt after so many; `chance` is from 0 to 1."""
        longest = min(self.longest_s, self.first_s * 2.0 ** (attempts - 1))
        return longest * (0.5 + chance / 2)


@attrs.define
class _Port:
    """One port's bulkhead."""

    name: str
    deliver: Callable[[Delivery], Awaitable[None]]
    at_once: int
    timeout_s: float
    under_way: set[asyncio.Task[None]] = attrs.field(factory=set)
    changed: asyncio.Event = attrs.field(factory=asyncio.Event)
    task: asyncio.Task[None] | None = None
    #: No delivery was claimable at the last look.
    idle: asyncio.Event = attrs.field(factory=asyncio.Event)


class Dispatcher:
    """Delivers for one controller."""

    def __init__(
        self,
        controller: "Controller",
        *,
        name: str,
        channel: Channel | None,
        desk: Desk | None,
        bot: Bot | None,
        notifier: Notifier | None,
        summarizer: Summarizer,
        backoff: Backoff | None = None,
        at_once: int = 64,
        timeout_s: float = 30.0,
    ) -> None:
        self._controller = controller
        self._name = name
        self._channel = channel
        self._desk = desk
        self._bot = bot
        self._notifier = notifier
        self._summarizer = summarizer
        self._backoff = backoff or Backoff()
        self._random = random.Random()
        self._lease = timedelta(seconds=2 * timeout_s)
        deliver: dict[str, Callable[[Delivery], Awaitable[None]]] = {"summarizer": self._to_summarizer}
        if channel is not None and channel.kind == "push":
            deliver["channel"] = self._to_channel
        if bot is not None:
            deliver["bot"] = self._to_bot
        if desk is not None:
            deliver["desk"] = self._to_desk
        if notifier is not None:
            deliver["notifier"] = self._to_notifier
        self._ports = {name: _Port(name, one, at_once, timeout_s) for name, one in deliver.items()}
        #: The ports for which something is owed here. Where nobody plays a role, its effects are only in `Outcome.effects`.
        self.ports = frozenset({*self._ports, "channel"})

    # --- life

    def start(self) -> None:
        """Begin to deliver."""
        for port in self._ports.values():
            port.task = asyncio.create_task(self._run(port))

    async def stop(self) -> None:
        """Claim nothing more, and give what is under way a moment."""
        loops = [port.task for port in self._ports.values() if port.task is not None]
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        under_way = [task for port in self._ports.values() for task in port.under_way]
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=1.0)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def committed(self, steps: Iterable[Step]) -> None:
        """There may be something new to deliver."""
        for step in steps:
            for effect in step.effects:
                name = PORTS[effect.__class__]
                port = self._ports.get(name) if name is not None else None
                if port is not None:
                    port.idle.clear()
                    port.changed.set()
                elif isinstance(effect, NotifyAgents):
                    log_fact(
                        logging.INFO,
                        "agents_notified",
                        conversation_id=step.after.id,
                        audience=effect.audience,
                        about=effect.about,
                    )

    async def drain(self) -> None:
        """Return once nothing is under way and nothing more can be delivered now."""
        ports = list(self._ports.values())
        for port in ports:
            port.idle.clear()
            port.changed.set()
        while True:
            for port in ports:
                await port.idle.wait()
            # What one port did may have led to something for another.
            if all(port.idle.is_set() for port in ports):
                return

    # --- one port

    async def _run(self, port: _Port) -> None:
        while True:
            try:
                await self._round(port)
            except Exception as error:
                # What is owed stays owed: the store may work again later.
                log_fact(logging.WARNING, "deliveries_wait", port=port.name, error=f"{type(error).__name__}: {error}")
                port.changed.clear()
                port.idle.set()
                await self._wait(port, self._controller.clock.now() + timedelta(seconds=1))

    async def _round(self, port: _Port) -> None:
        clock, store = self._controller.clock, self._controller.store
        port.changed.clear()
        now = clock.now()
        free = port.at_once - len(port.under_way)
        if free > 0:
            reaches = self._channel.reaches if port.name == "channel" and self._channel is not None else None
            claimed = await store.claim(port.name, now, limit=free, by=self._name, until=now + self._lease, reaches=reaches)
            for delivery in claimed:
                task = asyncio.create_task(self._one(port, delivery))
                port.under_way.add(task)
                task.add_done_callback(lambda done: self._finished(port, done))
            if claimed:
                port.idle.clear()
                return
        if not port.under_way and not port.changed.is_set():
            port.idle.set()
        until = await store.next_delivery(port.name) if free > 0 else None
        await self._wait(port, until if until is not None and until > now else None)

    def _finished(self, port: _Port, task: asyncio.Task[None]) -> None:
        port.under_way.discard(task)
        port.changed.set()
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            log_fact(logging.ERROR, "delivery_broke", port=port.name, error=f"{type(error).__name__}: {error}")

    async def _wait(self, port: _Port, until: datetime | None) -> None:
        changed = asyncio.ensure_future(port.changed.wait())
        latest = self._controller.clock.now() + timedelta(seconds=60)
        sleeping = asyncio.ensure_future(self._controller.clock.sleep_until(min(until, latest) if until is not None else latest))
        try:
            await asyncio.wait({changed, sleeping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (changed, sleeping):
                task.cancel()
            await asyncio.gather(changed, sleeping, return_exceptions=True)

    # --- one delivery

    async def _one(self, port: _Port, delivery: Delivery) -> None:
        if delivery.held:
            await self.hold_back(delivery)
            return
        attempts = delivery.attempts + 1
        try:
            async with asyncio.timeout(port.timeout_s):
                await port.deliver(delivery)
        except asyncio.CancelledError:
            raise
        except ControllerClosed:
            return  # nothing more is kept here: whoever opens the store next tries it again
        except Exception as error:
            await self._failed(delivery, error, attempts)
        else:
            await self._settle(Settled(key=delivery.key, result="done", attempts=attempts))

    async def hold_back(self, delivery: Delivery) -> None:
        """Record that an AI's text from before a person took the reply is not sent."""
        await self._failed_for_good(delivery, "stale_epoch", 0)
        await self._settle(Settled(key=delivery.key, result="done"))

    async def _failed(self, delivery: Delivery, error: Exception, attempts: int) -> None:
        told = _told(error)
        final = isinstance(error, Rejected) or attempts >= self._backoff.attempts
        facts = {"port": delivery.port, "key": delivery.key, "attempts": attempts, "error": told}
        if final:
            log_fact(logging.ERROR, "delivery_dead", **facts)
            await self._failed_for_good(delivery, told, attempts)
            await self._settle(Settled(key=delivery.key, result="dead", attempts=attempts, error=told, by=self._name))
            return
        wait = error.retry_after_s if isinstance(error, Unavailable) else None
        if wait is None:
            wait = self._backoff.wait_s(attempts, self._random.random())
        log_fact(logging.WARNING, "delivery_failed", retry_in_s=round(wait, 3), **facts)
        at = self._controller.clock.now() + timedelta(seconds=wait)
        await self._settle(Settled(key=delivery.key, result="retry", attempts=attempts, next_at=at, error=told, by=self._name))

    async def _failed_for_good(self, delivery: Delivery, error: str, attempts: int) -> None:
        if isinstance(delivery.effect, OpenTicket):
            name = self._desk.name if self._desk is not None else "desk"
            await self._came_back(delivery, TicketFailed, desk=name, error=error)
        else:
            await self._came_back(delivery, DeliveryFailed, effect=delivery.key, error=error, attempts=attempts)

    async def _settle(self, settled: Settled) -> None:
        try:
            await self._controller.store.settle([settled])
        except StoreError as error:
            log_fact(logging.WARNING, "delivery_not_settled", key=settled.key, error=str(error))

    async def _came_back(self, delivery: Delivery, cls: type[Event], **fields: Any) -> None:
        """Hand in what a port answered, as an event whose id is made of the key."""
        event = cls(conversation=delivery.conversation, id=delivery.answer_id, **fields)
        await self._controller.take(event)

    # --- the ports

    async def _to_channel(self, delivery: Delivery) -> None:
        assert self._channel is not None
        assert isinstance(delivery.effect, SendToCustomer)
        await self._channel.send(delivery.conversation, delivery.effect, delivery.key)

    async def _to_notifier(self, delivery: Delivery) -> None:
        assert self._notifier is not None
        assert isinstance(delivery.effect, NotifyAgents)
        await self._notifier.notify(delivery.conversation, delivery.effect, delivery.key)

    async def _to_summarizer(self, delivery: Delivery) -> None:
        assert isinstance(delivery.effect, PrepareContext)
        conversation = await self._conversation(delivery)
        gathered = await self._summarizer.summarize(conversation, delivery.effect, delivery.key)
        if gathered is not None:
            await self._came_back(delivery, ContextReady, summary=gathered[0], facts=gathered[1])

    async def _to_desk(self, delivery: Delivery) -> None:
        assert self._desk is not None
        effect = delivery.effect
        if isinstance(effect, OpenTicket):
            ticket = await self._desk.open(delivery.conversation, effect.queue, effect.payload, delivery.key)
            await self._came_back(delivery, TicketOpened, desk=self._desk.name, ticket=ticket)
        else:
            await self._desk.perform(delivery.conversation, effect, delivery.key)

    async def _to_bot(self, delivery: Delivery) -> None:
        assert self._bot is not None
        effect = delivery.effect
        if isinstance(effect, EndBotSession):
            await self._bot.end(delivery.conversation, effect.reason, delivery.key)
            return
        conversation = await self._conversation(delivery)
        if isinstance(effect, DraftForAgent):
            text = await self._bot.draft(conversation, effect, delivery.key)
            if text is not None:
                draft = delivery.key
                await self._came_back(delivery, DraftProposed, draft=draft, text=text, in_reply_to=effect.in_reply_to)
            return
        turn: AiTurn | None
        if isinstance(effect, ResumeBot):
            turn = await self._bot.resume(conversation, effect, delivery.key)
        else:
            assert isinstance(effect, AskBot)
            turn = await self._bot.turn(conversation, effect, delivery.key)
        if turn is not None:
            named = turn.in_reply_to if turn.in_reply_to is not None else getattr(effect, "in_reply_to", None)
            await self._controller.take(
                attrs.evolve(
                    turn,
                    conversation=delivery.conversation,
                    id=delivery.answer_id,
                    epoch=turn.epoch if turn.epoch is not None else effect.epoch,
                    in_reply_to=named,
                )
            )

    async def _conversation(self, delivery: Delivery) -> Conversation:
        return await self._controller.conversation(delivery.conversation)


def _told(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return str(error) or type(error).__name__
