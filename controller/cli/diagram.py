"""`handoff diagram`: the machines as pictures and tables."""

from collections.abc import Sequence
from pathlib import Path

import click

from handoff_kit.machines import Policy, Step
from handoff_kit.machines.diagram import DARK, FORMATS, LIGHT, MACHINES, Move, Wanted, conversation_moves, offer_moves

from ..sessions.one import conversations_in, session_in
from ..shelf import load_policy
from ..svg import svg_of
from .main import fail

__all__ = ["command"]

#: What a file's name says about its format, and how a format's file is named in `--all`.
_SUFFIXES = {"mermaid": ".mmd", "dot": ".dot", "svg": ".svg", "markdown": ".md", "xstate": ".xstate.json"}
_BY_SUFFIX = {
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
    ".dot": "dot",
    ".gv": "dot",
    ".svg": "svg",
    ".md": "markdown",
    ".json": "xstate",
}


@click.command("diagram", short_help="Draw the machines, with a policy's numbers or a session's path.")
@click.option("--machine", "machine_name", type=click.Choice(list(MACHINES)), default="conversation", show_default=True)
@click.option("--format", "form", type=click.Choice(list(_SUFFIXES)), help="Default: what OUT's name says, else mermaid.")
@click.option("--policy", "policy_name", metavar="P", help="A TOML file or a bundled name: labels show its numbers.")
@click.option("--session", "file", metavar="FILE", help="A recording or a bundled name: a path is highlighted and numbered.")
@click.option("--conversation", metavar="ID", help="Which conversation of FILE; needed where it holds several.")
@click.option(
    "--theme",
    type=click.Choice(["auto", "light", "dark"]),
    default="auto",
    show_default=True,
    help="auto: an SVG follows the reader's screen, the rest is light.",
)
@click.option("--all", "draw_all", is_flag=True, help="Write every machine in every format into the folder OUT.")
@click.option("-o", "--out", metavar="OUT", help="A file; with --all a folder. Default: standard output.")
def command(
    machine_name: str,
    form: str | None,
    policy_name: str | None,
    file: str | None,
    conversation: str | None,
    theme: str,
    draw_all: bool,
    out: str | None,
) -> int:
    """Draw one of the three machines.

    With a policy, labels show its numbers and what it never does is left out. With a session, its path is highlighted and
    numbered, and its own policy is taken where none is given.
    """
    if draw_all:
        if out is None or form is not None or file is not None:
            fail("--all writes every machine in every format: give a folder with -o, and neither --format nor --session")
        return _write_all(Path(out), load_policy(policy_name) if policy_name is not None else None)
    if file is None and conversation is not None:
        fail("--conversation needs a recording: give it with --session")
    policy = load_policy(policy_name) if policy_name is not None else None
    moves: Sequence[Move] = ()
    if file is not None:
        session = session_in(file, conversation or _only(file), policy)
        policy = session.policy
        moves = _moves(machine_name, session.steps)
    wanted = Wanted(machine=MACHINES[machine_name], policy=policy, moves=moves, palette=DARK if theme == "dark" else LIGHT)
    chosen = form or (_BY_SUFFIX.get(Path(out).suffix.lower()) if out is not None else None) or "mermaid"
    text = _drawn(wanted, chosen, auto=theme == "auto")
    if out is None:
        click.echo(text, nl=False)
    else:
        Path(out).write_text(text, encoding="utf-8", newline="\n")
    return 0


def _drawn(wanted: Wanted, form: str, *, auto: bool) -> str:
    return svg_of(FORMATS["dot"](wanted), auto=auto) if form == "svg" else FORMATS[form](wanted)


def _only(file: str) -> str:
    """Return the one conversation of a recording; where there are several, one must be named."""
    if file == "-":
        fail("a recording on standard input is read once: name the conversation with --conversation")
    found = list(conversations_in(file))
    if len(found) != 1:
        named = ", ".join(found[:5]) + (", .." if len(found) > 5 else "")
        fail(f"{file} holds {len(found)} conversations: name one with --conversation ({named})")
    return found[0]


def _moves(machine: str, steps: list[Step]) -> Sequence[Move]:
    if machine == "presence":
        fail("a conversation's record holds no presence: draw --machine conversation or offer with --session")
    return conversation_moves(steps) if machine == "conversation" else offer_moves(steps)


def _write_all(folder: Path, policy: Policy | None) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for name, machine in MACHINES.items():
        for form, suffix in _SUFFIXES.items():
            text = _drawn(Wanted(machine=machine, policy=policy), form, auto=True)
            (folder / f"{name}{suffix}").write_text(text, encoding="utf-8", newline="\n")
    click.echo(f"{folder}: {len(MACHINES) * len(_SUFFIXES)} files", err=True)
    return 0
