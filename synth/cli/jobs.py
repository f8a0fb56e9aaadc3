"""``synth jobs``: look at the jobs of this machine's servers, stop them, and work on them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from synth.cli.output import AsJson, print_fields, print_json, print_table
from synth.errors import ConfigError, SynthError

if TYPE_CHECKING:
    from synth.jobs import Event, Job, Queue

app = typer.Typer(help="List, watch and cancel jobs, or work on them.", rich_markup_mode=None)

JobId = Annotated[str, typer.Argument(metavar="ID", help="Of the job.")]

_SECONDS_BETWEEN_LOOKS = 0.5


@app.command("list")
def list_jobs(
    state: Annotated[
        str | None, typer.Option(help="Only queued, running, succeeded, failed or cancelled ones.")
    ] = None,
    kind: Annotated[str | None, typer.Option(help="Only jobs of this kind, as in generate or train.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=10_000)] = 50,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    from synth.jobs.kinds import get_kind
    from synth.jobs.records import STATES
    from synth.text import closest

    if state is not None and state not in STATES:
        raise ConfigError(
            f"There is no state {state!r}{closest(state, STATES)}. States: {', '.join(STATES)}."
        )
    if kind is not None:
        get_kind(kind)
    with _queue() as queue:
        jobs = queue.list(state=state, kind=kind, limit=limit)
    if as_json:
        print_json([_plain(job) for job in jobs])
    elif jobs:
        print_table(
            ("ID", "KIND", "STATE", "DONE", "CREATED"),
            [(job.id, job.kind, _state(job), _share(job.progress), _time(job.created)) for job in jobs],
        )
    else:
        typer.echo("There are no such jobs. Servers take them: PUT /v1/jobs/ID.", err=True)


@app.command("show")
def show_job(id: JobId, as_json: AsJson = False) -> None:
    """Show what is known of one job."""
    with _queue() as queue:
        job = queue.get(id)
    if as_json:
        print_json(_plain(job))
    else:
        print_fields(_fields(job))


@app.command("watch")
def watch_job(id: JobId) -> None:
    """Show how a job goes on, until it has ended. Exit code 1 if it has not succeeded."""
    from synth.errors import OverloadError

    after = 0
    with _queue() as queue:
        job, events = queue.events(id)
        while True:
            for event in events:
                typer.echo(_line(event), err=True)
                after = event.number
            if job.final and job.last_event <= after:
                break
            time.sleep(_SECONDS_BETWEEN_LOOKS)
            try:
                job, events = queue.events(id, after=after)
            except OverloadError:
                events = []
    if job.state != "succeeded":
        raise SynthError(f"The job {id} was cancelled." if job.error is None else job.error["detail"])
    print_json(job.result)


@app.command("cancel")
def cancel_job(id: JobId) -> None:
    """Stop a job: at once if it waits, at its next step if it runs. What it has made stays."""
    with _queue() as queue:
        job = queue.cancel(id)
    typer.echo(f"{job.id} is {_state(job)}.", err=True)


@app.command("retry")
def retry_job(id: JobId) -> None:
    """Queue a failed or cancelled job again; it goes on with what is finished."""
    with _queue() as queue:
        job = queue.retry(id)
    typer.echo(f"{job.id} is {_state(job)}.", err=True)


@app.command("remove")
def remove_jobs(
    ids: Annotated[
        list[str] | None, typer.Argument(metavar="[ID]...", help="Of jobs that have ended.")
    ] = None,
    older_than_days: Annotated[
        float | None,
        typer.Option("--older-than-days", help="All that ended longer ago, instead of ids.", min=0.0),
    ] = None,
) -> None:
    """Remove jobs that have ended, with the data sets and training states that they made.

    Models that they published stay. Jobs that are gone already count as removed.
    """
    from synth.jobs.removal import remove_job, remove_old_jobs
    from synth.jobs.settings import load_job_settings

    if bool(ids) == (older_than_days is not None):
        raise ConfigError("Name jobs to remove, or give --older-than-days.")
    settings = load_job_settings().model_copy(update={"jobs_keep_days": older_than_days})
    with _queue() as queue:
        removed = remove_old_jobs(queue, settings)
        for id in ids or []:
            if remove_job(queue, settings, id):
                removed.append(id)
            else:
                typer.echo(f"There is no job {id!r}.", err=True)
    for id in removed:
        typer.echo(f"{id} is removed.", err=True)


@app.command("work")
def work(
    until_idle: Annotated[
        bool, typer.Option("--until-idle", help="End when there is nothing to do, instead of waiting.")
    ] = False,
) -> None:
    """Do jobs, one after the other, until Ctrl-C or SIGTERM gives the present one back.

    Servers start workers of their own (SYNTH_WORKERS, by default 1); more may run anywhere that shares
    SYNTH_DATABASE, SYNTH_STORE and SYNTH_JOBS_FOLDER with them.
    """
    from synth.jobs.settings import load_worker_settings
    from synth.jobs.worker import Worker

    settings = load_worker_settings()
    with _opened(settings.queue()) as queue:
        Worker(queue, settings, say=lambda line: typer.echo(line, err=True)).run(until_idle=until_idle)


def _queue() -> AbstractContextManager[Queue]:
    from synth.jobs.settings import load_job_settings

    return _opened(load_job_settings().queue())


@contextmanager
def _opened(queue: Queue) -> Iterator[Queue]:
    try:
        yield queue
    finally:
        queue.database.close()


def _plain(job: Job) -> dict[str, Any]:
    """The same fields as over HTTP."""
    times = {name: getattr(job, name) for name in ("created", "started", "finished")}
    return {
        "id": job.id,
        "kind": job.kind,
        "state": job.state,
        "cancelling": job.cancelling,
        "attempt": job.attempt,
        **{name: None if seconds is None else _iso(seconds) for name, seconds in times.items()},
        "progress": job.progress,
        "result": job.result,
        "error": job.error,
        "request": job.body,
        "pinned": job.pinned,
    }


def _fields(job: Job) -> list[tuple[str, str]]:
    fields = [
        ("id", job.id),
        ("kind", job.kind),
        ("state", _state(job)),
        ("attempt", str(job.attempt)),
        ("created", _time(job.created)),
        ("started", _time(job.started)),
        ("finished", _time(job.finished)),
        ("progress", _progress(job.progress or {})),
    ]
    fields += [(f"request {name}", str(value)) for name, value in job.body.items() if name != "kind"]
    fields += [(f"result {name}", str(value)) for name, value in (job.result or {}).items()]
    return fields + ([("error", job.error["detail"])] if job.error else [])


def _line(event: Event) -> str:
    if event.type == "progress":
        return f"{_time(event.time)}  {_progress(event.data)}"
    return f"{_time(event.time)}  {'cancelling' if event.data['cancelling'] else event.data['state']}"


def _progress(progress: Any) -> str:
    if not progress:
        return ""
    total = progress["total"]
    done = f"{progress['done']:,}" if total is None else f"{progress['done']:,} of {total:,}"
    text = f"{progress['share']:.0%}  {done} images"
    if progress["images_per_second"] is not None:
        text += f"  {progress['images_per_second']:,.0f}/s"
    if progress["eta_seconds"]:
        text += f"  {progress['eta_seconds']:,.0f} s left"
    return text


def _state(job: Job) -> str:
    return "cancelling" if job.cancelling else job.state


def _share(progress: Any) -> str:
    return "" if not progress else f"{progress['share']:.0%}"


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _time(seconds: float | None) -> str:
    return "" if seconds is None else f"{datetime.fromtimestamp(seconds):%Y-%m-%d %H:%M:%S}"
