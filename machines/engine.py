"""How a table of rows becomes a `transitions` machine, and how that machine is fired.

One machine serves all conversations: it has no model of its own, the slate of a step is the model. Guards answer with verdicts;
`VerdictCondition` tests `.holds`, since the stock condition compares with `== True`. The slim classes leave out what no row uses
(prepare, before, enter, exit, queues, logging) and refuse at build time a machine that would need it. The stock classes give the
same steps: a property test holds the two equal.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import attrs
from transitions import Event, Machine, Transition
from transitions.core import Condition, EventData

from .verdicts import Verdict

__all__ = ["Engine", "GuardFailed", "Row", "STAY", "Slate", "row", "rows_of"]

#: The destination of an internal transition: data changes, the state does not.
STAY = None


class GuardFailed(Exception):
    """A guard broke; its verdict says how."""

    def __init__(self, verdict: Verdict) -> None:
        super().__init__(verdict.error)
        self.verdict = verdict


class Slate:
    """What a machine is fired with: a throwaway object that holds the state and takes down verdicts.

    Attributes:
        state: the state, which the machine moves.
        verdicts: the answers of all guards that were asked, in order.
    """

    __slots__ = ("_asked", "state", "verdicts")

    def __init__(self, state: str) -> None:
        self.state: Any = state
        self.verdicts: list[Verdict] = []
        self._asked: dict[str, Verdict] = {}

    def ask(self, name: str, guard: Callable[[Any], Verdict]) -> Verdict:
        """Return the guard's verdict; each guard is asked once a step and its verdict is kept.

        Raises:
            GuardFailed: the guard raised.
        """
        verdict = self._asked.get(name)
        if verdict is None:
            try:
                verdict = guard(self)
            except Exception as error:
                raise GuardFailed(Verdict(name, None, error=f"{type(error).__name__}: {error}")) from error
            self._asked[name] = verdict
            self.verdicts.append(verdict)
        return verdict


@attrs.frozen
class Row:
    """One arrow of a table: on `event`, from `source`, to `to` (None: stays), when all guards hold, do the callbacks."""

    event: str
    source: str
    to: str | None
    when: tuple[str, ...] = ()
    do: tuple[str, ...] = ()

    @property
    def refuses(self) -> str | None:
        """The name of the refusal, where this row is one."""
        return self.do[0].removeprefix("refuse_") if self.do and self.do[0].startswith("refuse_") else None


def row(event: str, source: str | Iterable[str], to: str | None, *, when: str = "", do: str = "") -> list[Row]:
    """Return a row for each source; `when` and `do` are names with spaces between, so that a table reads as one."""
    sources = [source] if isinstance(source, str) else sorted(source)
    return [Row(event, one, to, tuple(when.split()), tuple(do.split())) for one in sources]


def rows_of(*groups: Iterable[Row]) -> tuple[Row, ...]:
    """Return the rows of all groups, in order."""
    return tuple(one for group in groups for one in group)


class VerdictCondition(Condition):
    """A condition whose guard answers with a verdict."""

    func: Any

    def check(self, event_data: EventData) -> bool:
        """Ask the guard, as the stock transition does."""
        model: Any = event_data.model
        return model.ask(*self.func).holds is True


class VerdictTransition(Transition):
    """A stock transition with our condition."""

    condition_cls = VerdictCondition


class SlimTransition(VerdictTransition):
    """A transition that does conditions, change of state and callbacks, and nothing else."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.prepare or self.before:
            raise TypeError("slim transitions have neither `prepare` nor `before` callbacks: use the stock classes")
        self.guards = [condition.func for condition in self.conditions]


class SlimEvent(Event):
    """An event that tries its transitions in order and logs nothing."""

    def trigger(self, model: Any, *args: Any, **kwargs: Any) -> bool:
        """Take the first transition whose conditions hold: change the state, do the callbacks."""
        transition: Any
        for transition in self.transitions[model.state]:
            for name, guard in transition.guards:
                if model.ask(name, guard).holds is not True:
                    break
            else:
                if transition.dest is not None:
                    model.state = transition.dest
                for callback in transition.after:
                    callback(model)
                return True
        return False


class _SlimMachine(Machine):
    event_cls = SlimEvent
    transition_cls = SlimTransition


class _StockMachine(Machine):
    transition_cls = VerdictTransition


class Engine:
    """A table compiled into a `transitions` machine.

    Args:
        name: for error messages and diagrams.
        states: all states, the initial one first.
        rows: the table; the last row of each (event, state) pair has no guard.
        guards: guard functions by name; each takes the slate and returns a verdict.
        callbacks: callback functions by name; each takes the slate.
        slim: use the slim classes.

    Raises:
        TypeError: for a row that names a guard or a callback that does not exist, or that can never be reached or leaves a
            pair undecided.
    """

    def __init__(
        self,
        name: str,
        states: Iterable[str],
        rows: Iterable[Row],
        guards: Mapping[str, Callable[[Any], Verdict]],
        callbacks: Mapping[str, Callable[[Any], None]],
        *,
        slim: bool = True,
    ) -> None:
        self.name = name
        self.states = tuple(states)
        self.rows = tuple(rows)
        self._check(guards, callbacks)
        plain = {str(state): state for state in self.states}

        def listed(callback: Callable[[Any], None]) -> Callable[[Any], None]:
            return callback if slim else lambda event_data: callback(event_data.model)

        self.machine = (_SlimMachine if slim else _StockMachine)(
            model=None,
            states=[_plain(state) for state in self.states],
            initial=_plain(self.states[0]),
            auto_transitions=False,
            send_event=True,
            transitions=[
                {
                    "trigger": one.event,
                    "source": _plain(one.source),
                    "dest": _plain(one.to),
                    "conditions": [(guard, guards[guard]) for guard in one.when],
                    "after": [listed(callbacks[callback]) for callback in one.do],
                }
                for one in self.rows
            ],
        )
        if slim:
            for event in self.machine.events.values():
                for transitions in event.transitions.values():
                    for transition in transitions:
                        transition.dest = plain.get(transition.dest or "")
        self._events = self.machine.events

    def fire(self, event: str, slate: Slate) -> bool:
        """Fire `event` with the slate as the model; return whether a row took it."""
        return bool(self._events[event].trigger(slate))

    def _check(self, guards: Mapping[str, Any], callbacks: Mapping[str, Any]) -> None:
        done: set[tuple[str, str]] = set()
        pairs: set[tuple[str, str]] = set()
        for one in self.rows:
            pair = (one.event, one.source)
            pairs.add(pair)
            missing = [name for name in one.when if name not in guards] + [n for n in one.do if n not in callbacks]
            if missing:
                raise TypeError(f"{self.name}: {one.event} from {one.source} names {', '.join(missing)}: not defined")
            if pair in done:
                raise TypeError(f"{self.name}: {one.event} from {one.source}: a row after one without a guard is dead")
            if not one.when:
                done.add(pair)
        for event, source in sorted(pairs - done):
            raise TypeError(f"{self.name}: {event} from {source}: the last row must have no guard")


def _plain(state: str | None) -> Any:
    """Return the plain string of a state: `transitions` would take an enumeration's member by its name."""
    return None if state is None else str.__str__(state)
