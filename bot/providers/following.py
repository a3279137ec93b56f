"""Follows runs of GitHub Actions, job by job, until they have ended.

https://docs.github.com/en/rest/actions/workflow-runs
"""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.deploys.errors import NotFoundAtGitHub, Unavailable
from bot.providers.base import (
    DESCRIPTION,
    Fault,
    Outcome,
    PersonError,
    Reporter,
    Stopped,
    TryLater,
    Work,
    error,
    failure,
    handed_over,
    success,
)

POLL = 15.0  # seconds between looks, where no webhook comes
PAUSE = 1.0  # seconds between two looks at least: each job sends webhooks of its own
PICKED_UP = 120.0  # seconds in which a workflow with `on: deployment` must have begun
SEEN = 60.0  # seconds in which a run that GitHub has told of must be seen
INSIST = 8.0  # seconds for which GitHub is asked to cancel; who must stop has ten
FIRST_PAUSE = 0.5  # seconds between the first two of these requests
CLOSE = timedelta(minutes=2)  # between a deployment and the runs that it starts
FINAL = frozenset({"success", "failure", "error", "inactive"})
MARKS = {"success": "✓", "neutral": "✓", "skipped": "–"}
WORDS = {"in_progress": "running", "waiting": "waits for an approval at GitHub"}
BAD = frozenset({"failure", "timed_out", "startup_failure"})

Run = dict[str, Any]


def run(work: Work, reporter: Reporter, number: int) -> Outcome:
    """Follows one run that was made for the deployment. Raises Fault when it is one of another commit."""

    seen_by = time.monotonic() + SEEN

    def look() -> list[Run]:
        try:
            found = work.github.ask("GET", f"actions/runs/{number}")
        except NotFoundAtGitHub:
            if time.monotonic() >= seen_by:
                raise
            raise Unavailable("GitHub", "its run is not seen everywhere yet") from None
        if found["head_sha"] != work.sha:
            cancel(work, reporter, [number])
            raise Fault(f"{work.ref} moved to {str(found['head_sha'])[:7]} just then; the run there was cancelled")
        return [found]

    return _follow(work, reporter, look, lambda: None, [number])


def deployment(work: Work, reporter: Reporter) -> Outcome:
    """Follows whatever runs `on: deployment`. Where a workflow reports the end itself, that is left to it."""

    def theirs() -> Outcome | None:
        statuses = work.github.ask("GET", f"deployments/{work.deployment_id}/statuses?per_page=100")
        return handed_over() if any(one["state"] in FINAL for one in statuses) else None

    return _follow(work, reporter, lambda: _started_by(work), theirs, [])


def _follow(
    work: Work,
    reporter: Reporter,
    look: Callable[[], list[Run]],
    theirs: Callable[[], Outcome | None],
    numbers: list[int],
) -> Outcome:
    picked_up_by = time.monotonic() + PICKED_UP
    said = _Said(reporter)
    try:
        while True:
            began = time.monotonic()
            try:
                if (ended := theirs()) is not None:
                    return ended
                runs = look()
                numbers = [int(one["id"]) for one in runs]
                if (outcome := _told(work, reporter, said, runs)) is not None:
                    return theirs() or outcome  # theirs may have come just before the end
            except TryLater as later:  # GitHub is away; the runs go on without it
                said.log(f"GitHub does not answer: {later!r}")
            else:
                if not runs and began >= picked_up_by:
                    return error("No workflow with `on: deployment` began, and nobody else reported")
            _rest(reporter, began)
    except Stopped as stopped:
        if stopped.for_good:
            cancel(work, reporter, numbers)
        raise


def _rest(reporter: Reporter, began: float) -> None:
    """Until there is news, and until PAUSE after the last look began."""
    reporter.wait(POLL)
    while (left := began + PAUSE - time.monotonic()) > 0:
        reporter.wait(left)


class _Said:
    """Says things once, until there is something else to say."""

    def __init__(self, reporter: Reporter) -> None:
        self._reporter = reporter
        self._last = ""

    def log(self, words: str) -> None:
        if words != self._last:
            self._last = words
            self._reporter.write(f"{words}\n")


def _told(work: Work, reporter: Reporter, said: _Said, runs: Sequence[Run]) -> Outcome | None:
    """Reports how they stand; the outcome once all have ended."""
    if not runs:
        reporter.in_progress("Waiting for the workflows that run on: deployment")
        return None
    first = next((one for one in runs if one.get("conclusion") != "skipped"), runs[0])
    jobs = [job for one in runs for job in _jobs(work, one)]
    reporter.log_url(str(first["html_url"]))
    said.log(", ".join(map(_job, jobs)) or "queued")
    if any(one["status"] != "completed" for one in runs):
        reporter.in_progress(_standing(jobs))
        return None
    return _outcome(runs, jobs)


def _jobs(work: Work, found: Run) -> list[dict[str, Any]]:
    return list(work.github.ask("GET", f"actions/runs/{found['id']}/jobs?per_page=100")["jobs"])


def _standing(jobs: Sequence[dict[str, Any]]) -> str:
    """`build ✓, deploy running`; those that are done are counted where they are too many to name."""
    if not jobs:
        return "queued at GitHub"
    said = [_job(job) for job in jobs]
    whole = ", ".join(said)
    if len(whole) <= DESCRIPTION:
        return whole
    open_ones = [words for job, words in zip(jobs, said, strict=True) if job["status"] != "completed"]
    done = len(jobs) - len(open_ones)
    return ", ".join([f"{done} of {len(jobs)} jobs done", *open_ones])


def _job(job: dict[str, Any]) -> str:
    name = " ".join(str(job["name"]).split())
    name = name if len(name) <= 60 else name[:59] + "…"
    if job["status"] == "completed":
        return f"{name} {MARKS.get(str(job['conclusion']), '✗')}"
    return f"{name} {WORDS.get(str(job['status']), 'queued')}"


def _outcome(runs: Sequence[Run], jobs: Sequence[dict[str, Any]]) -> Outcome:
    """What several runs amount to: the worst of them. Those that were skipped count only when all were."""
    ended = [str(one.get("conclusion")) for one in runs]
    if BAD & set(ended):
        bad = next(word for word in ("failure", "timed_out", "startup_failure") if word in ended)
        if bad == "startup_failure":
            return failure("GitHub could not start the workflow: look at its file")
        names = ", ".join(str(job["name"]) for job in jobs if job["conclusion"] in ("failure", "timed_out"))
        return failure(f"{names or 'the workflow'} {'timed out' if bad == 'timed_out' else 'failed'}")
    if "cancelled" in ended:
        return error("The workflow was cancelled at GitHub")
    if "action_required" in ended:
        return error("The workflow needs somebody's consent at GitHub before it runs")
    done = [word for word in ended if word != "skipped"]
    if not done:
        return error("The workflow skipped all its jobs: nothing was deployed")
    if set(done) <= {"success", "neutral"}:
        if jobs and all(job["conclusion"] == "skipped" for job in jobs):
            return error("The workflow skipped all its jobs: nothing was deployed")
        return success(_standing(jobs) if jobs else "")
    other = next(word for word in done if word not in ("success", "neutral"))
    return error(f"The workflow ended as “{other}” at GitHub")


def cancel(work: Work, reporter: Reporter, numbers: Sequence[int]) -> None:
    """Cancels runs, as far as GitHub lets us: the deployment ends either way. Where GitHub does not answer, it is asked
    again for as long as there is."""
    until, pause = time.monotonic() + INSIST, FIRST_PAUSE
    for number in numbers:
        while True:
            try:
                work.github.ask("POST", f"actions/runs/{number}/cancel")
                reporter.write(f"Run {number} is cancelled\n")
            except TryLater as problem:
                if time.monotonic() + pause < until:
                    threading.Event().wait(pause)  # nobody sets it: this run has a thread of its own
                    pause *= 2
                    continue
                reporter.write(f"Run {number} could not be cancelled: {problem!r}\n")
            except PersonError as problem:
                reporter.write(f"Run {number} could not be cancelled: {problem!r}\n")
            break


def _started_by(work: Work) -> list[Run]:
    """The runs that the deployment started, one of each workflow.

    GitHub does not tell which deployment a run is for. Each deployment starts one run of each workflow, in order and
    soon after it was made: so of the deployments of that commit, the earliest that has none yet gets the next one.
    """
    made = work.github.ask("GET", f"deployments?sha={work.sha}&per_page=100")
    found = work.github.ask("GET", f"actions/runs?event=deployment&head_sha={work.sha}&per_page=100")["workflow_runs"]
    deployments = sorted((int(one["id"]), _time(one)) for one in made)
    taken: set[tuple[int, int]] = set()
    ours = []
    for one in sorted(found, key=lambda one: int(one["id"])):
        for number, at in deployments:
            key = number, int(one["workflow_id"])
            if key not in taken and timedelta(0) <= _time(one) - at <= CLOSE:
                taken.add(key)
                if number == work.deployment_id:
                    ours.append(one)
                break
    return ours


def _time(shown: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(str(shown["created_at"]))


def text_of(content: Any) -> str:
    """The text of a file as `contents` shows it. Raises ValueError for what is none."""
    if not isinstance(content, dict) or content.get("encoding") != "base64":
        raise ValueError("no file")
    return base64.b64decode(content["content"]).decode("utf-8", "replace")
