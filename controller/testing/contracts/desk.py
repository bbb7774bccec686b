"""The suite of `Desk`. A subclass gives `make`, `opened` and `performed`; `breaks` and `loses_the_answer` where it has them."""

import pytest

from handoff_kit.machines.effects import CloseTicket, Effect, OpenTicket

from ...errors import Unavailable
from ...ports import Desk
from ...records import PORTS, key_of
from .running import Contract, on_loop, raised
from .script import eventful

__all__ = ["DeskContract"]


def asked() -> tuple[tuple[str, OpenTicket], list[tuple[str, Effect]]]:
    """Return what a handoff asks of a desk: what is to be opened, and all else in order, each with its key."""
    found = [
        (key_of("c-1", one.after.version, index), effect)
        for one in eventful().steps
        for index, effect in enumerate(one.effects)
        if PORTS[type(effect)] == "desk"
    ]
    ((key, ticket),) = [(key, effect) for key, effect in found if isinstance(effect, OpenTicket)]
    return (key, ticket), [(key, effect) for key, effect in found if not isinstance(effect, OpenTicket)]


class DeskContract(Contract[Desk]):
    """What every desk promises."""

    def opened(self, desk: Desk) -> list[str]:
        """Return the conversations for which something was opened, in order: look at the other side of the adapter."""
        raise NotImplementedError(f"{type(self).__name__}.opened must return the conversations for which something was opened")

    def performed(self, desk: Desk) -> list[str]:
        """Return the types of other effects that had a consequence, in order. A desk may do nothing for some of them."""
        raise NotImplementedError(f"{type(self).__name__}.performed must return the types of effects that were performed")

    def breaks(self, desk: Desk) -> None:
        """Let the next attempt fail as the desk's outside does; leave it out where a test cannot do that."""
        pytest.skip("`breaks` is not given")

    def loses_the_answer(self, desk: Desk) -> None:
        """Let the next attempt do its work, and lose the answer; leave it out where a test cannot do that."""
        pytest.skip("`loses_the_answer` is not given")

    @on_loop
    async def test_it_has_what_a_desk_has(self, desk: Desk) -> None:
        """All of the port is there, and a name that may stand in an event."""
        assert isinstance(desk, Desk)
        assert isinstance(desk.name, str)
        assert desk.name

    @on_loop
    async def test_the_same_key_opens_once(self, desk: Desk) -> None:
        """Its handle comes back each time."""
        (key, ticket), _ = asked()
        handles = [await desk.open("c-1", ticket.queue, ticket.payload, key) for _ in range(3)]

        assert len(set(handles)) == 1
        assert handles[0] is None or handles[0]
        assert self.opened(desk) == ["c-1"]

    @on_loop
    async def test_another_key_opens_another(self, desk: Desk) -> None:
        """The second handoff of a conversation is another ticket, and so is another conversation's."""
        (_, ticket), _ = asked()
        handles = [
            await desk.open(conversation, ticket.queue, ticket.payload, key)
            for conversation, key in (("c-1", "c-1:7:0"), ("c-1", "c-1:30:0"), ("c-2", "c-2:7:0"))
        ]

        assert self.opened(desk) == ["c-1", "c-1", "c-2"]
        assert len(set(handles)) == 3 or set(handles) == {None}

    @on_loop
    async def test_what_may_have_been_opened_is_not_opened_again(self, desk: Desk) -> None:
        """The answer was lost: the desk is looked at before it is asked again."""
        (key, ticket), _ = asked()
        self.loses_the_answer(desk)
        await raised(desk.open("c-1", ticket.queue, ticket.payload, key))
        await desk.open("c-1", ticket.queue, ticket.payload, key)

        assert self.opened(desk) == ["c-1"]

    @on_loop
    async def test_every_effect_is_taken_in_order(self, desk: Desk) -> None:
        """A desk may have no use for some; it does not fail on them."""
        (key, ticket), others = asked()
        await desk.open("c-1", ticket.queue, ticket.payload, key)
        for key, effect in others:
            await desk.perform("c-1", effect, key)

        assert {type(effect) for _, effect in others} == {cls for cls, port in PORTS.items() if port == "desk"} - {OpenTicket}
        found = iter([effect.type for _, effect in others])
        assert all(name in found for name in self.performed(desk)), "in another order, or twice"

    @on_loop
    async def test_the_same_key_is_performed_once(self, desk: Desk) -> None:
        """Every effect twice has the consequences of every effect once."""
        (key, ticket), others = asked()
        await desk.open("c-1", ticket.queue, ticket.payload, key)
        for key, effect in others:
            await desk.perform("c-1", effect, key)
        once = self.performed(desk)
        for key, effect in others:
            await desk.perform("c-1", effect, key)

        assert self.performed(desk) == once
        assert self.opened(desk) == ["c-1"]

    @on_loop
    async def test_closing_what_is_not_there_does_nothing(self, desk: Desk) -> None:
        """Whoever works at the desk may have been faster: that is no failure for ever, and nothing breaks of it."""
        await desk.perform("c-1", CloseTicket(1, "resolved_by_agent", desk.name, None), "c-1:9:0")

    @on_loop
    async def test_it_fails_with_our_errors_and_can_be_asked_again(self, desk: Desk) -> None:
        """`Unavailable` where a later attempt may work, `Rejected` where none will."""
        (key, ticket), _ = asked()
        self.breaks(desk)
        error = await raised(desk.open("c-1", ticket.queue, ticket.payload, key))
        if isinstance(error, Unavailable):
            assert error.retry_after_s is None or error.retry_after_s >= 0
            await desk.open("c-1", ticket.queue, ticket.payload, key)
            assert self.opened(desk) == ["c-1"]
