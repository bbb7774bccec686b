"""`handoff replay`: many sessions through a policy, verified where they were recorded with their steps."""

import json
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..sessions.reader import Source, sources_of
from ..sessions.replaying import Job, parse_until, replay_sessions
from ..sessions.tally import Tally
from ..shelf import PolicyShelf, load_policy
from .main import fail

__all__ = ["command", "unknown_policy"]


@click.command("replay", short_help="Replay recorded sessions through a policy, and verify their steps.")
@click.argument("files", nargs=-1, required=True, metavar="FILE..")
@click.option(
    "--policy", "policy_name", metavar="P", help="A TOML file or a bundled name. Default: the recorded one, else general."
)
@click.option(
    "--record", type=click.Path(dir_okay=False, path_type=Path), metavar="OUT", help="Write the accepted events with their steps."
)
@click.option(
    "--sessions-out",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="OUT",
    help="Write a JSON line for each conversation.",
)
@click.option("--workers", type=click.IntRange(1, 256), default=1, show_default=True, help="Processes that share the work.")
@click.option("--skip-bad-lines", is_flag=True, help="Count and list lines that cannot be used, and go on.")
@click.option("--until", metavar="TIME", help="Fire timers after the last event: up to a time, or for a span such as 2h.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
def command(
    files: tuple[str, ...],
    policy_name: str | None,
    record: Path | None,
    sessions_out: Path | None,
    workers: int,
    skip_bad_lines: bool,
    until: str | None,
    as_json: bool,
) -> int:
    """Replay recorded sessions through a policy.

    FILE is a recording in JSON Lines, gzipped or not; `-` reads standard input; general, banking, copilot, vip and triage are
    bundled.

    Sessions that were recorded with their steps are verified step by step; others are decided anew, with their timers.
    The digest is the same for the same sessions, whatever their order in the file and the number of workers.

    Exit code 1 means that a step differs from its record under the same policy.
    """
    sources = sources_of(files)
    for target in (record, sessions_out):
        if target is not None and any(s.path is not None and target.exists() and s.path.samefile(target) for s in sources):
            fail(f"{target}: is one of the inputs; give another file to write to")
        if target is not None and not target.resolve().parent.is_dir():
            fail(f"{target}: its folder does not exist; make it first")
    if record is not None and sessions_out is not None and record.resolve() == sessions_out.resolve():
        fail(f"{record}: is given for both --record and --sessions-out; give two files")
    try:
        limit = parse_until(until) if until is not None else None
    except ValueError:
        fail(f"--until {until}: is neither a time such as 2026-01-05T12:00:00Z nor a span such as 2h; give one of them")
    job = Job(
        sources=sources,
        policy=load_policy(policy_name) if policy_name is not None else None,
        record=record,
        sessions_out=sessions_out,
        workers=workers,
        skip_bad_lines=skip_bad_lines,
        until=limit,
    )
    console = Console(stderr=True)
    tally, seconds = _run(job, console)
    if record is not None:
        _keep_policies(tally, sources, policy_name, record, console)
    _warn(tally, console)
    if as_json:
        click.echo(json.dumps(tally.to_data(seconds), indent=2))
    else:
        _print(tally, seconds, sources, policy_name)
    return 1 if tally.mismatches else 0


def _run(job: Job, console: Console) -> tuple[Tally, float]:
    total = sum(source.size for source in job.sources)
    if not sys.stderr.isatty() or total == 0:
        return replay_sessions(job)
    columns = (TextColumn("Replaying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total)
        return replay_sessions(job, lambda position: bar.update(task, completed=position))


def _keep_policies(tally: Tally, sources: list[Source], name: str | None, record: Path, console: Console) -> None:
    """Put each policy that is not bundled beside the recording, so that its replay finds it; never write over another file."""
    shelf = PolicyShelf([source.path.parent for source in sources if source.path is not None])
    if name is not None:
        shelf.add(name)
    there = PolicyShelf([record.parent])
    for fingerprint in sorted(tally.used_policies - shelf.bundled):
        text = shelf.text_of(fingerprint)
        if text is None or there.find(fingerprint) is not None:
            continue
        target = record.with_name(f"{record.name.split('.')[0]}.{fingerprint[:8]}.toml")
        if target.exists():
            fail(f"{target}: exists and is another policy; move it away, then record again")
        target.write_text(text, encoding="utf-8")
        console.print(Text(f"The policy was written to {target}, where a replay of {record.name} finds it."), soft_wrap=True)


def _warn(tally: Tally, console: Console) -> None:
    for fingerprint in sorted(tally.unknown_policies):
        console.print(unknown_policy(fingerprint), soft_wrap=True)
    for _, words in tally.skipped:
        console.print(Text.assemble(("skipped ", "yellow"), words), soft_wrap=True)
    if tally.skipped_count > len(tally.skipped):
        console.print(f"… and {tally.skipped_count - len(tally.skipped)} more lines", highlight=False)


def unknown_policy(fingerprint: str) -> Text:
    """Return the warning that a recording's policy was not found."""
    told = f"The recorded policy {fingerprint} is neither bundled nor beside the recording: general was taken."
    return Text.assemble((told, "yellow"), " Give it with --policy.")


def _print(tally: Tally, seconds: float, sources: list[Source], policy: str | None) -> None:
    console = Console(highlight=False, markup=False, emoji=False)
    data = tally.to_data(seconds)
    share = f" ({tally.escalated / tally.sessions:.0%})" if tally.sessions else ""
    title = ", ".join(source.name for source in sources)
    head = Text.assemble("\n", (title, "bold"), f"  policy {policy or 'as recorded, else general'}")
    console.print(head, soft_wrap=True)
    console.print(f"{tally.sessions:,} sessions, {tally.events:,} events, {data['events_per_second']:,} events a second")
    console.print(f"Handed over: {tally.escalated:,} sessions{share}\n", style="bold")
    for heading, key in (
        ("Why", "reasons"),
        ("Moves", "transitions"),
        ("Where they ended", "final_states"),
        ("How they closed", "close_reasons"),
        ("Refused events", "refused"),
    ):
        if data[key]:
            console.print(Text.assemble((heading, "bold"), "\n", _counted(data[key]), "\n"), soft_wrap=True)
    for words in data["differences"]:
        console.print(words, soft_wrap=True)
    console.print(_verified(tally), soft_wrap=True)
    console.print(f"Digest {data['digest']}", soft_wrap=True)


def _counted(counts: dict[str, int]) -> str:
    rows = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    return "\n".join(f"  {count:>{width},}  {name.replace('->', ' → ')}" for name, count in rows)


def _verified(tally: Tally) -> Text:
    parts: list[Text] = []
    for count, words, style in (
        (tally.verified, "steps verified", "green"),
        (tally.mismatches, "steps differ from their record", "red"),
        (tally.changed, "steps changed under this policy", ""),
        (tally.erased, "events with erased fields", ""),
        (tally.late, "late events", ""),
        (tally.overrun, "timers passed over, since the record goes on after them", ""),
        (tally.skipped_count, "lines skipped", ""),
    ):
        if count:
            parts.append(Text(f"{count:,} {words}", style))
    if not parts:
        return Text("No step was recorded, so there was nothing to verify.")
    return Text(", ").join(parts) + Text(".")
