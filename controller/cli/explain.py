"""`handoff explain`: one recorded conversation, decision by decision, in sentences."""

import json
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from handoff_kit.machines import Policy, Replayed, Step
from handoff_kit.machines.codec import verdict_to_data
from handoff_kit.machines.explain import account_of, closest, trigger_in_words
from handoff_kit.machines.states import State

from ..sessions.one import conversations_in, session_in
from ..shelf import load_policy
from .main import fail
from .replay import unknown_policy

__all__ = ["command"]

_COLOURS = {"customer": "cyan", "ai": "green", "agent": "magenta", "timer": "yellow"}


@click.command("explain", short_help="Say in sentences why a recorded conversation went as it did.")
@click.argument("file", metavar="FILE")
@click.option("--conversation", metavar="ID", help="Which conversation. Without it, the ids in the file are listed.")
@click.option("--seq", type=click.IntRange(1), metavar="N", help="Only this line, and every condition that was judged there.")
@click.option(
    "--policy", "policy_name", metavar="P", help="A TOML file or a bundled name. Default: the recorded one, else general."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(file: str, conversation: str | None, seq: int | None, policy_name: str | None, as_json: bool) -> int:
    """Say why each decision of a recorded conversation was made: guard, value, threshold, margin.

    FILE is a recording, `-`, or a bundled name.
    """
    if conversation is None:
        found = conversations_in(file)
        if as_json:
            click.echo(json.dumps({"conversations": found}, indent=2, ensure_ascii=False))
        else:
            for name, count in found.items():
                click.echo(f"{name}  ({count} events)")
            click.echo("Give one of them with --conversation.", err=True)
        return 0
    session = session_in(file, conversation, load_policy(policy_name) if policy_name is not None else None)
    if session.unknown_policy is not None:
        Console(stderr=True).print(unknown_policy(session.unknown_policy), soft_wrap=True)
    policy, done = session.policy, list(session.done)
    if seq is not None:
        last = max(number for number, _ in done)
        done = [(number, replayed) for number, replayed in done if number == seq]
        if not done:
            fail(f"{file}: conversation {conversation!r} has no line {seq}; its last is {last}")
    if as_json:
        click.echo(json.dumps(_data(policy, conversation, done), indent=2, ensure_ascii=False))
    else:
        _print(policy, conversation, done, detailed=seq is not None)
    return 0


def _data(policy: Policy, conversation: str, done: list[tuple[int, Replayed]]) -> dict[str, Any]:
    rows = []
    for seq, replayed in done:
        step = replayed.step
        account = account_of(policy, step)
        rows.append(
            {
                "seq": seq if step.event.type != "timer_fired" or step.event.seq else None,
                "at": account.at.isoformat().replace("+00:00", "Z"),
                "type": step.event.type,
                "state": step.after.state,
                "what": account.what,
                "decision": list(account.decision),
                "refused": step.refused.name if step.refused is not None else None,
                "verdicts": [verdict_to_data(verdict) for verdict in step.verdicts],
            }
        )
    return {"conversation": conversation, "policy": policy.name, "steps": rows}


def _print(policy: Policy, conversation: str, done: list[tuple[int, Replayed]], *, detailed: bool) -> None:
    console = Console(highlight=False)
    console.print(Text.assemble((conversation, "bold"), f"  under policy {policy.name}\n"), soft_wrap=True)
    for seq, replayed in done:
        step = replayed.step
        account = account_of(policy, step)
        if not detailed and step.event.trigger == "timer_eta_update" and not account.decision:
            continue  # nothing had changed, so nothing was told
        timer = step.event.type == "timer_fired"
        label = "timer" if timer and step.event.seq is None else f"#{seq}"
        colour = _COLOURS.get("timer" if timer else step.event.type.split("_")[0], "")
        console.print(Text.assemble((f"{account.at:%H:%M:%S}  {label:<6} ", "dim"), (account.what, colour)), soft_wrap=True)
        for sentence in account.decision:
            style = "bold" if " → " in sentence else "red" if sentence.startswith("Refused") else ""
            console.print(Text(f"{'':17}{sentence}", style), soft_wrap=True)
        if detailed:
            _print_verdicts(console, replayed)
    if not detailed:
        console.print(Text(_conclusion(done), "bold"), soft_wrap=True)


def _print_verdicts(console: Console, replayed: Replayed) -> None:
    judged = [verdict for verdict in replayed.step.verdicts if verdict.leaves]
    if not judged:
        console.print(Text(f"{'':17}No trigger was judged here.", "dim"))
    for verdict in judged:
        answer = {True: "holds", False: "does not hold", None: "cannot be known"}[verdict.holds]
        console.print(Text(f"{'':17}{verdict.name} {answer}: {trigger_in_words(verdict)}.", "dim"), soft_wrap=True)


def _conclusion(done: list[tuple[int, Replayed]]) -> str:
    steps = [replayed.step for _, replayed in done]
    for seq, replayed in done:
        step = replayed.step
        if step.before is not None and step.after.state is State.ESCALATION_PENDING and step.refused is None:
            reasons = ", ".join(step.after.handoff.reasons) if step.after.handoff is not None else ""
            return f"\nHanded over at #{seq}: {reasons}. {_end(steps[-1])}"
    near = closest(steps)
    told = ""
    if near is not None:
        step, verdict = near
        told = f" Trigger {verdict.name} came closest: {trigger_in_words(verdict)}."
    return f"\nNever handed over.{told} {_end(steps[-1])}"


def _end(last: Step) -> str:
    why = f" ({last.after.ending})" if last.after.ending else ""
    return f"It ended {last.after.state}{why}."
