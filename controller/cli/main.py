"""The command's root: its sub-commands, its errors and its exit codes.

Exit codes: 0 fine, 1 findings (a verification differs), 2 usage or bad input, told in one line with the place and the mend.
"""

import importlib
import logging
import os
import sys
from importlib import metadata
from typing import NoReturn

import click
import structlog

from handoff_kit.machines import HandoffError

__all__ = ["Commands", "fail", "main"]

_COMMANDS = {
    "replay": ("handoff_kit.controller.cli.replay", "Replay recorded sessions through a policy, and verify their steps."),
    "explain": ("handoff_kit.controller.cli.explain", "Say in sentences why a recorded conversation went as it did."),
    "diagram": ("handoff_kit.controller.cli.diagram", "Draw the machines, with a policy's numbers or a session's path."),
    "review": ("handoff_kit.controller.cli.review", "Write a page for the review of a policy."),
    "lint": ("handoff_kit.controller.cli.lint", "Find what is wrong with a policy before anyone ships it."),
    "policy": ("handoff_kit.controller.cli.policy", "Begin a policy, show what is in effect, print its schema."),
    "export": ("handoff_kit.controller.cli.export", "Write a store's history as recorded sessions."),
    "outbox": ("handoff_kit.controller.cli.outbox", "List what is owed to the world, and try or drop dead letters."),
    "bench": ("handoff_kit.controller.cli.bench", "Measure this library against baselines in the same run."),
}


class Commands(click.Group):
    """Sub-commands that are imported when they are used, so that `handoff --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which people need them."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a sub-command."""
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = importlib.import_module(_COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the sub-commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, words) for name, (_, words) in _COMMANDS.items()])


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(metadata.version("handoff-kit"), prog_name="handoff")
@click.option("-v", "--verbose", is_flag=True, help="Log every step to stderr.")
def root(verbose: bool) -> None:
    """Decide when and how an AI agent hands a conversation to a person, and how it comes back.

    A policy is a TOML file or a bundled name: general, banking, copilot, vip, triage. A recording is a JSON Lines file
    (gzipped or not), `-` for standard input, or one of the same bundled names.
    """
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.KeyValueRenderer(key_order=["event"])],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.getLogger("handoff_kit").setLevel(logging.INFO if verbose else logging.WARNING)


def fail(message: str) -> NoReturn:
    """Say what is wrong in one line, and exit with 2."""
    click.echo(f"handoff: {message}", err=True)
    sys.exit(2)


def main() -> None:
    """Run the command."""
    try:
        code = root.main(prog_name="handoff", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo("handoff: interrupted", err=True)
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        sys.exit(2)
    except click.UsageError as error:
        hint = f" (try {error.ctx.command_path} --help)" if error.ctx is not None else ""
        fail(f"{error.format_message()}{hint}")
    except click.ClickException as error:
        fail(error.format_message())
    except HandoffError as error:
        fail(str(error))
    except BrokenPipeError:
        # Whoever read our output has gone: not our error, but nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        fail(f"{error.filename or 'file'}: {error.strerror or error}; check the path and its rights")
    sys.exit(code if isinstance(code, int) else 0)
