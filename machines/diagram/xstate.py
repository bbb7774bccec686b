"""A machine as the JSON configuration of XState v5 (https://stately.ai/docs/machines): states, `on`, guards, actions.

Timers are events (`timer_queue`), since what they are counted from is data of the conversation. Guards and actions are the
table's own names. A row with several guards has one guard, `{"type": "all", "params": {"guards": [..]}}`: the implementation asks
them in order until one does not hold. What the machine refuses has no transition.
"""

import json
from typing import Any

from ..engine import Row
from ..policy import Policy
from .graph import Machine
from .labels import event_in_words, guard_in_words, triggers_in_words

__all__ = ["xstate_of"]


def xstate_of(machine: Machine, policy: Policy | None = None) -> str:
    """Return the machine as JSON text; with a policy `meta` says its triggers, and descriptions its numbers."""
    states: dict[str, Any] = {}
    for name in machine.states:
        on: dict[str, list[dict[str, Any]]] = {}
        for row in machine.rows:
            if row.source == name and row.refuses is None:
                on.setdefault(row.event, []).append(_transition(row, policy))
        final = name in machine.final
        states[name] = {
            **({"type": "final"} if final else {}),
            "description": machine.words[name],
            "tags": [machine.kinds[name]],
            # A final state of XState takes no events: what the record still takes down there stands in its meta.
            **({"meta": {"on": on}} if final and on else {"on": on} if on else {}),
        }
    data = {
        "id": machine.name,
        "description": machine.title,
        "initial": machine.states[0],
        **({"meta": _meta(policy)} if policy is not None else {}),
        "states": states,
    }
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _meta(policy: Policy) -> dict[str, Any]:
    return {"policy": policy.name, "fingerprint": policy.fingerprint, "triggers": triggers_in_words(policy)}


def _transition(row: Row, policy: Policy | None) -> dict[str, Any]:
    transition: dict[str, Any] = {}
    if row.to is not None:
        transition["target"] = str(row.to)
    if len(row.when) == 1:
        transition["guard"] = row.when[0]
    elif row.when:
        transition["guard"] = {"type": "all", "params": {"guards": list(row.when)}}
    if row.do:
        transition["actions"] = list(row.do)
    if policy is not None:
        words = ", ".join(guard_in_words(guard, policy) for guard in row.when)
        transition["description"] = f"{event_in_words(row.event, policy)}{f' [{words}]' if words else ''}"
    return transition
