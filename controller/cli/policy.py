"""`handoff policy`: what a policy and its contracts look like."""

import json

import click

from handoff_kit.machines.payload_codec import PAYLOAD_SCHEMA

__all__ = ["command"]


@click.group("policy", short_help="Print the schemas of what policies govern.")
def command() -> None:
    """Print the schemas of what policies govern."""


@command.command("schema")
@click.option("--payload", is_flag=True, required=True, help="The schema of the payload that the person who takes over receives.")
def schema(payload: bool) -> int:
    """Print a JSON Schema (draft 2020-12). Only that of the payload exists so far, so `--payload` must be given."""
    assert payload
    click.echo(json.dumps(PAYLOAD_SCHEMA, indent=2))
    return 0
