"""`handoff lint`: what in a policy can never work, or does not do what it says."""

import json
import re
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from handoff_kit.machines import Policy
from handoff_kit.machines.lint import RULES, Finding, lint

from ..shelf import load_policy

__all__ = ["command"]

_COLOURS = {"error": "red", "warning": "yellow"}
_PLACE = re.compile(r"(trigger|tier|queue|destination)\[(\d+)\]")


class _Command(click.Command):
    """A command whose help lists the rules."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the rules, each with what it looks for."""
        with formatter.section("Rules"):
            formatter.write_dl(list(RULES.items()))


@click.command("lint", cls=_Command, short_help="Find what in a policy can never work, or does not do what it says.")
@click.argument("policy_name", metavar="POLICY")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(policy_name: str, as_json: bool) -> int:
    """Find what in a policy can never work, or does not do what it says.

    POLICY is a TOML file or a bundled name: general, banking, copilot, vip, triage.

    An error never does what it says; a warning may be meant. Exit code 1 means that there are errors.
    """
    policy = load_policy(policy_name)
    findings = lint(policy)
    errors = sum(finding.severity == "error" for finding in findings)
    if as_json:
        click.echo(json.dumps(_to_data(policy, findings, errors), indent=2, ensure_ascii=False))
    else:
        _print(policy, findings, errors)
    return 1 if errors else 0


def _to_data(policy: Policy, findings: tuple[Finding, ...], errors: int) -> dict[str, Any]:
    names = ("rule", "place", "sentence", "mend", "severity")
    return {
        "policy": policy.name,
        "fingerprint": policy.fingerprint,
        "errors": errors,
        "warnings": len(findings) - errors,
        "findings": [{name: getattr(finding, name) for name in names} for finding in findings],
    }


def _print(policy: Policy, findings: tuple[Finding, ...], errors: int) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    for finding in findings:
        severity = (f"{finding.severity:<7}", _COLOURS[finding.severity])
        head = Text.assemble(severity, "  ", (finding.place, "bold"), _named(policy, finding.place), (f"  {finding.rule}", "dim"))
        console.print(head, soft_wrap=True)
        console.print(f"  {finding.sentence}", soft_wrap=True)
        console.print(f"  Mend: {finding.mend}{'' if finding.mend.endswith('?') else '.'}\n", soft_wrap=True)
    if not findings:
        console.print(f"{policy.name}: nothing to mend ({len(RULES)} rules)", soft_wrap=True)
    else:
        console.print(f"{_counted(errors, 'error')}, {_counted(len(findings) - errors, 'warning')}", soft_wrap=True)


def _named(policy: Policy, place: str) -> str:
    """Return the name of the trigger or queue at a place, which people know better than its index."""
    found = _PLACE.match(place)
    return f" ({getattr(policy, found[1])[int(found[2])].name})" if found is not None else ""


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
