"""`handoff policy`: begin a policy, show what is in effect, and the schemas of a policy and of what it governs."""

import json
from importlib import resources
from pathlib import Path

import attrs
import click

from handoff_kit.machines import Policy
from handoff_kit.machines.overview import effective_data, queue_rows, trigger_rows
from handoff_kit.machines.payload_codec import PAYLOAD_SCHEMA
from handoff_kit.machines.policy_schema import POLICY_SCHEMA
from handoff_kit.machines.values import Json

from ..policy_text import effective_text
from ..shelf import load_policy
from .main import fail

__all__ = ["command", "effective_text"]


@click.group("policy", short_help="Begin a policy, show what is in effect, print its schema.")
def command() -> None:
    """Begin a policy, show what is in effect, print its schema."""


@command.command("init", short_help="Write a commented policy to start from.")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write to FILE, not to standard output.",
)
@click.option("--force", is_flag=True, help="Write over FILE where it exists.")
def init(out: Path | None, force: bool) -> int:
    """Write a policy to start from: three triggers that most need, and every other key with its default, commented out."""
    text = (resources.files("handoff_kit.controller") / "templates" / "policy.toml").read_text(encoding="utf-8")
    if out is None:
        click.echo(text, nl=False)
        return 0
    if not out.resolve().parent.is_dir():
        fail(f"{out}: its folder does not exist; make it first")
    try:
        with out.open("w" if force else "x", encoding="utf-8", newline="\n") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{out}: exists; give another file, or --force to write over it")
    click.echo(f"{out} was written. See what it does: handoff policy show {out}", err=True)
    return 0


@command.command("show", short_help="Print where a policy leads, and every key with its default.")
@click.argument("policy", metavar="P")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def show(policy: str, as_json: bool) -> int:
    """Print what a policy does: where each trigger leads, what happens to who waits, and all its keys with every default.

    P is a TOML file or a bundled name. What is printed is TOML again, and the same policy.
    """
    loaded = load_policy(policy)
    click.echo(json.dumps(_shown_data(loaded), indent=2, ensure_ascii=False) if as_json else effective_text(loaded), nl=as_json)
    return 0


@command.command("schema", short_help="Print the JSON Schema of a policy, or of the payload.")
@click.option("--payload", is_flag=True, help="The schema of the payload that the person who takes over receives, instead.")
def schema(payload: bool) -> int:
    """Print the JSON Schema of a policy's TOML file, for editors that complete and check while one writes.

    Written to policy.schema.json beside the policy, it is found by the line `#:schema policy.schema.json` at the policy's top.
    """
    click.echo(json.dumps(PAYLOAD_SCHEMA if payload else POLICY_SCHEMA, indent=2))
    return 0


def _shown_data(policy: Policy) -> dict[str, Json]:
    return {
        "name": policy.name,
        "fingerprint": policy.fingerprint,
        "policy": effective_data(policy),
        "routing": {
            "triggers": [attrs.asdict(row) for row in trigger_rows(policy)],
            "queues": [attrs.asdict(row) for row in queue_rows(policy)],
        },
    }
