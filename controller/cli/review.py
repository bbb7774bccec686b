"""`handoff review`: a policy as one page for the people who decide whether it ships."""

import importlib.util
import sys
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from ..review.watching import Sessions
from ..sessions.reader import sources_of
from ..sessions.replaying import Job, replay_sessions
from ..shelf import load_policy
from .main import fail

__all__ = ["command"]


def _replay(job: Job, sessions: Sessions) -> None:
    total = sum(source.size for source in job.sources)
    if not sys.stderr.isatty() or total == 0:
        replay_sessions(job, watch=sessions)
        return
    columns = (TextColumn("Replaying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=total)
        replay_sessions(job, lambda position: bar.update(task, completed=position), sessions)


@click.command("review", short_help="Write a page for the review of a policy.")
@click.argument("policy_name", metavar="POLICY")
@click.option(
    "--sessions",
    "files",
    multiple=True,
    metavar="FILE",
    help="Recorded sessions that are replayed under it; may be given several times.",
)
@click.argument("more", nargs=-1, metavar="[FILE..]")
@click.option("-o", "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, metavar="OUT", help="The HTML file.")
def command(policy_name: str, files: tuple[str, ...], more: tuple[str, ...], out: Path) -> int:
    """Write one self-contained HTML page about POLICY.

    It says who goes where and what if nobody is there, shows the machine with the policy's numbers, triggers in words, timers,
    texts, what each destination may see, and what `handoff lint` finds. With --sessions FILE.. it says how often each arrow,
    trigger and refusal occurred, with three conversations for each trigger. It loads nothing, follows dark screens, and prints.
    """
    if importlib.util.find_spec("jinja2") is None:
        fail("the page needs Jinja2: pip install 'handoff-kit[diagrams]'")
    if more and not files:
        fail(f"{more[0]}: give recordings after --sessions")
    policy = load_policy(policy_name)
    from ..review.page import page_of

    sessions = None
    if files:
        job = Job(sources=sources_of((*files, *more)), policy=policy, skip_bad_lines=False)
        sessions = Sessions(policy)
        _replay(job, sessions)
    page = page_of(policy, sessions)
    out.write_text(page, encoding="utf-8", newline="\n")
    told = f"{sessions.conversations} conversations, " if sessions is not None else ""
    Console(stderr=True).print(Text(f"{out}: {told}{len(page) // 1024} KB"), soft_wrap=True)
    return 0
