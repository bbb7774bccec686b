"""`handoff bench`: what this library costs, measured against baselines in the same run.

What may not go in here: measuring (in `benchmarks`).
"""

import json
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs
import click
from rich.console import Console
from rich.table import Table

from ..benchmarks import core as measuring
from ..benchmarks.core import DEFAULT, QUICK, Result, Telling
from ..benchmarks.session import described
from .main import fail

__all__ = ["command"]


@click.group("bench", invoke_without_command=True, short_help="Measure this library against baselines in the same run.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Measure this library against baselines in the same run.

    Figures are ratios: the ways that are compared take turns in each of several rounds, and the median of the rounds' ratios
    counts. Absolute times say more about the machine.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@command.command("core", short_help="A step, replay, memory.")
@click.option(
    "--rounds",
    type=click.IntRange(1, 1000),
    metavar="N",
    help="Rounds of a step, 15 by default; what takes seconds has at most 3.",
)
@click.option("--quick", is_flag=True, help="Smaller sizes and fewer rounds: figures in seconds, less sure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def core(rounds: int | None, quick: bool, as_json: bool) -> None:
    """Measure one step, replay in one process and in several, and memory.

    A step is compared with dispatch written by hand, with plain dictionaries, and with what the defaults of transitions and
    attrs would cost; all give the same steps, which is checked before anything is timed. Replay is compared with msgspec and
    dispatch by hand; without msgspec that goal is not measured.

    The exit code is 0 whether or not a goal is met.
    """
    plan = QUICK if quick else DEFAULT
    if rounds is not None:
        plan = attrs.evolve(plan, rounds=rounds)
    about = measuring.machine()
    with _progress() as tell:
        results = list(measuring.measure(plan, tell))
    if as_json:
        click.echo(json.dumps(_data(results, plan, about), indent=2, ensure_ascii=False))
    else:
        _print(results, about, quick, "Processor time, for several processes wall time.")


@command.command("controller", short_help="Durable handling, memory, many conversations.")
@click.option("--rounds", type=click.IntRange(1, 1000), metavar="N", help="Rounds in which all ways take turns, 25 by default.")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Where the files go: a folder on the disk that is to be measured. Default: a temporary one below this folder.",
)
@click.option("--quick", is_flag=True, help="Smaller sizes and fewer rounds: figures in seconds, less sure.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def controller(rounds: int | None, directory: Path | None, quick: bool, as_json: bool) -> None:
    """Measure `Controller.handle` on SQLite, where every event is on the disk before it is answered.

    It is compared with what the disk can do, measured in the same folder and the same rounds, and with a turn of langgraph;
    without langgraph-checkpoint-sqlite that goal is not measured. No channel, no desk and no bot: the host plays them.

    A folder in memory (such as /dev/shm) answers at once and says nothing about a disk. The exit code is 0 whether or not a goal
    is met.
    """
    from ..benchmarks import controller as handling  # what is measured here is not loaded for the core's figures

    place = directory or Path()
    if not place.is_dir():
        fail(f"{place}: there is no such folder; make it first")
    plan = handling.QUICK if quick else handling.DEFAULT
    if rounds is not None:
        plan = attrs.evolve(plan, rounds=rounds)
    about = handling.about()
    with _progress() as tell, tempfile.TemporaryDirectory(prefix="handoff-bench-", dir=place) as folder:
        results = list(handling.measure(plan, Path(folder), tell))
    if as_json:
        click.echo(json.dumps(_data(results, plan, about), indent=2, ensure_ascii=False))
    else:
        _print(results, about, quick, "Time on the wall, for many conversations processor time.")


@contextmanager
def _progress() -> Iterator[Telling]:
    """Say on a terminal what is being measured."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    with Console(stderr=True).status("Measuring") as status:
        yield lambda words: status.update(f"Measuring {words}")


def _data(results: list[Result], plan: Any, about: dict[str, Any]) -> dict[str, Any]:
    return {
        "machine": about,
        "session": described(),
        "plan": attrs.asdict(plan),
        "goals": [attrs.asdict(result) for result in results],
    }


_VERDICTS = {True: "[green]met[/]", False: "[red]missed[/]", None: ""}


def _print(results: list[Result], about: dict[str, Any], quick: bool, times: str) -> None:
    console = Console(highlight=False)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold", padding=(0, 2, 1, 0))
    table.add_column("Goal", no_wrap=True)
    table.add_column("What", min_width=28, overflow="fold")
    table.add_column("Median", justify="right", no_wrap=True)
    table.add_column("Target", max_width=12)
    table.add_column("", no_wrap=True, min_width=6)
    for result in results:
        what = f"{result.what}\n[dim]{result.formula}[/]"
        table.add_row(result.goal, what, _figures(result), result.target, _VERDICTS[result.met])
    console.print(f"\n{described()}")
    console.print(f"{about['cores']} cores (load {about['load']} before), {about['processor']}, {about['system']}")
    console.print(f"{about['python']}; {versions}\n")
    console.print(table)
    for note in dict.fromkeys(f"Goal {result.goal}: {result.note}." for result in results if result.note):
        console.print(note, markup=False)  # it may name an extra in brackets
    words = f"Median of the rounds; below it the lowest and the highest of so many. {times}"
    console.print(words + (" Quick: less sure than a whole run." if quick else ""))


def _figures(result: Result) -> str:
    """Return the median, and below it the bounds over how many rounds."""
    measured = result.measured
    if measured is None:
        return "not measured"
    median = _shown(measured.median, result.unit)
    if measured.rounds == 1:
        return median
    return f"{median}\n[dim]{_shown(measured.low)}..{_shown(measured.high)} ({measured.rounds})[/]"


def _shown(value: float, unit: str = "") -> str:
    number = f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
    return f"{number} {unit}".rstrip()
