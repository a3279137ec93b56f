"""Environments of the simulated GitHub: protection rules and reviewers that runs of Actions wait for.

https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments and
https://docs.github.com/rest/actions/workflow-runs#review-custom-deployment-protection-rules-for-a-workflow-run. What
the documents leave out: an answer that nothing waits for (any more) is refused with 422.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bot.playground.github_bodies import node_id, stamp
from bot.playground.github_reading import repository_routes
from bot.playground.github_rest import Answer, Call, ok
from bot.playground.github_state import Deployment, Json, Person, Repository, WorkflowRun
from bot.playground.github_workflows import Workflows
from bot.playground.github_world import Refused

MOST_REPORTS, LONGEST_COMMENT = 10, 1024
RULE, REVIEW = "rule", "review"  # what a run may wait for
NOTHING_WAITS = "No pending deployment requests to approve or reject"
TEAM = (  # what a team is as a reviewer
    *("id", "node_id", "url", "html_url", "name", "slug", "description", "privacy", "permission", "parent"),
    *("members_url", "repositories_url"),
)
LEFT_OUT = ("head_commit", "previous_attempt_url")  # of a run in the webhooks of its deployment
DOC = "actions/workflow-runs"


@dataclass(frozen=True)
class Environment:
    """What protects an environment: the custom rule of the bot's App, reviewers (logins and `owner/team`)."""

    rule: bool
    reviewers: tuple[str, ...]


@dataclass(frozen=True)
class Given:
    """An answer to a run that waited."""

    state: str
    comment: str
    person: Person


@dataclass
class WaitingRun:
    """A run whose job wants into an environment, and what it still waits for."""

    id: int
    environment: str
    sha: str
    ref: str
    event: str
    actor: Person
    deployment: Deployment | None
    since: datetime
    waits: set[str]
    reports: list[str] = field(default_factory=list)
    given: list[Given] = field(default_factory=list)


class Protections(Workflows):
    """Adds environments and the runs that wait for them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._protected: dict[tuple[int, str], Environment] = {}
        self.waiting: dict[int, WaitingRun] = {}

    def protect(self, full_name: str, environment: str, *, rule: bool = True, reviewers: tuple[str, ...] = ()) -> None:
        """Sets what a run must wait for before it goes to an environment. Raises `KeyError`."""
        with self.change():
            self._protected[self.repository(full_name).id, environment] = Environment(rule, reviewers)

    def start_run(
        self,
        full_name: str,
        ref: str,
        environment: str,
        *,
        actor: str = "someone",
        event: str = "push",
        deployment: bool = True,
    ) -> int:
        """A workflow's job wants into an environment; returns the id of its run.

        GitHub makes the deployment (unless the workflow says that it shall not), and where something protects the
        environment reports it as `waiting` and asks. Raises `KeyError`.
        """
        with self.change():
            repo, person, now = self.repository(full_name), self.person(actor), self.now()
            sha = self.sha_of(repo, ref)
            number = self.next_id("workflow_run")
            made: Deployment | None = None
            if deployment:
                asked = {"ref": ref, "environment": environment, "required_contexts": [], "auto_merge": False}
                by = self._run(repo, number, sha, ref, event, person)
                shown = {key: value for key, value in by["workflow_run"].items() if key not in LEFT_OUT}
                tried = self.try_deployment(repo, person, asked, made_by=by | {"workflow_run": shown})
                assert isinstance(tried, Deployment), "nothing is merged here"
                made = tried
            rules = self._protected.get((repo.id, environment), Environment(False, ()))
            waits = {RULE} if rules.rule else set()
            waits |= {REVIEW} if rules.reviewers else set()
            run = WaitingRun(number, environment, sha, ref, event, person, made, now, waits)
            self.waiting[run.id] = run
            self._report_run(repo, run, "waiting" if waits else "queued")
            if RULE in waits:
                self._ask_rule(repo, run, event)
            if REVIEW in waits:
                reviewers = [self._reviewer(repo, name) for name in rules.reviewers]
                told = {"environment": environment, "reviewers": reviewers, "requestor": self.records.user(person)}
                self._emit_review(repo, run, "requested", person, {**told, "workflow_job_run": self._job(repo, run)})
            return run.id

    def review_run(self, full_name: str, run_id: int, login: str, state: str, comment: str = "") -> None:
        """One of an environment's reviewers answers, `approved` or `rejected`. Raises `KeyError` and `ValueError`."""
        if state not in ("approved", "rejected"):
            raise ValueError(f"no such answer: {state}")
        with self.change():
            repo, run, person = self.repository(full_name), self.waiting[run_id], self.person(login)
            if REVIEW not in run.waits:
                raise ValueError("no review is asked for")
            job = self._job(repo, run)
            rules = self._protected[repo.id, run.environment]
            told = {
                "approver": {**self.records.user(person)},
                "comment": comment,
                # With an answer, the description knows of users alone, and of no name of the job.
                "reviewers": [self._reviewer(repo, name) for name in rules.reviewers if "/" not in name],
                "workflow_job_run": job | {"name": None},
                "workflow_job_runs": [job],
            }
            self._emit_review(repo, run, state, person, told)
            self._answer_run(repo, run, REVIEW, Given(state, comment, person))

    def let_through(self, full_name: str, run_id: int) -> None:
        """An admin starts the job at GitHub without waiting for what protects the environment. Raises `KeyError`."""
        with self.change():
            self.waiting[run_id].waits.clear()
            self._report_run(self.repository(full_name), self.waiting[run_id], "queued")

    def cancel_waiting(self, full_name: str, run_id: int) -> None:
        """Somebody cancels the run. Raises `KeyError`."""
        with self.change():
            self.waiting[run_id].waits.clear()
            self._report_run(self.repository(full_name), self.waiting[run_id], "failure")

    def run_for(self, call: Call) -> WaitingRun:
        """The run in a request's path. Raises 404."""
        number = call.args[0]
        found = self.waiting.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise Refused(404, "Not Found")
        return found

    def review_rule(self, repo: Repository, run: WaitingRun, asked: Json, person: Person) -> None:
        """What `POST …/deployment_protection_rule` does. Raises `Refused` (422)."""
        comment = str(asked.get("comment") or "")
        if len(comment) > LONGEST_COMMENT:
            raise Refused(422, f"comment is too long (maximum is {LONGEST_COMMENT} characters)", doc=DOC)
        if asked.get("environment_name") != run.environment or RULE not in run.waits:
            raise Refused(422, NOTHING_WAITS, doc=DOC)
        if "state" in asked:
            if asked["state"] not in ("approved", "rejected"):
                raise Refused(422, "state is not included in the list", doc=DOC)
            self._answer_run(repo, run, RULE, Given(asked["state"], comment, person))
            return
        if not comment or len(run.reports) >= MOST_REPORTS:
            raise Refused(422, f"No more than {MOST_REPORTS} status reports are allowed", doc=DOC)
        run.reports.append(comment)

    def approvals_body(self, repo: Repository, run: WaitingRun) -> list[Json]:
        """What `GET …/approvals` answers."""
        number = sum(run.environment.encode())
        made = stamp(run.since)
        place = {
            "id": number,
            "node_id": node_id("Environment", number),
            "name": run.environment,
            "url": f"{self.records.repository_api(repo)}/environments/{run.environment}",
            "html_url": f"{self.url}/{repo.full_name}/deployments/activity_log?environments_filter={run.environment}",
            "created_at": made,
            "updated_at": made,
        }
        return [
            {
                "environments": [place],
                "state": one.state,
                "user": self.records.user(one.person),
                "comment": one.comment,
            }
            for one in run.given
        ]

    def _answer_run(self, repo: Repository, run: WaitingRun, kind: str, given: Given) -> None:
        run.given.append(given)
        if given.state == "rejected":
            run.waits.clear()
            self._report_run(repo, run, "failure")
            return
        run.waits.discard(kind)
        if not run.waits:
            self._report_run(repo, run, "queued")

    def _report_run(self, repo: Repository, run: WaitingRun, state: str) -> None:
        if run.deployment is not None:
            actor = self.person("github-actions[bot]", kind="Bot")
            self.add_deployment_status(repo, run.deployment, actor, {"state": state})

    def _ask_rule(self, repo: Repository, run: WaitingRun, event: str) -> None:
        api = self.records.repository_api(repo)
        payload: Json = {
            "action": "requested",
            "environment": run.environment,
            "event": event,
            "sha": run.sha,
            "ref": f"refs/heads/{run.ref}",
            "deployment_callback_url": f"{api}/actions/runs/{run.id}/deployment_protection_rule",
            "deployment": self.records.deployment(repo, run.deployment) if run.deployment else None,
            "pull_requests": [],
        }
        self.emit(repo, "deployment_protection_rule", run.actor, payload)

    def _emit_review(self, repo: Repository, run: WaitingRun, action: str, sender: Person, told: Json) -> None:
        whole = self._run(repo, run.id, run.sha, run.ref, run.event, run.actor)["workflow_run"]
        payload = {"action": action, "since": stamp(run.since), "workflow_run": whole, **told}
        self.emit(repo, "deployment_review", sender, payload)

    def _run(self, repo: Repository, number: int, sha: str, ref: str, event: str, actor: Person) -> Json:
        """A run whose job wants into an environment, and its workflow, as webhooks show them."""
        title, now = repo.commits[sha].message.partition("\n")[0], self.now()
        path, name = ".github/workflows/deploy.yml", "Deploy"
        run = WorkflowRun(number, number, path, name, title, sha, ref, event, actor, now, now, status="waiting")
        return {
            "workflow": self.workflow_body(repo, path, name),
            "workflow_run": self.workflow_run_body(repo, run),
        }

    def _job(self, repo: Repository, run: WaitingRun) -> Json:
        number, when = run.id * 10, stamp(run.since)
        return {
            "id": number,
            "name": "deploy",
            "status": "waiting",
            "conclusion": None,
            "html_url": f"{self.url}/{repo.full_name}/actions/runs/{run.id}/job/{number}",
            "created_at": when,
            "updated_at": when,
            "environment": run.environment,
        }

    def _reviewer(self, repo: Repository, name: str) -> Json:
        owner, _, slug = name.rpartition("/")
        if not owner:
            return {"type": "User", "reviewer": self.records.user(self.person(name))}
        team = self.records.team(self.person(owner, kind="Organization"), slug, 1, 1)
        return {"type": "Team", "reviewer": {key: team[key] for key in TEAM}}


# Endpoints


@repository_routes.add("POST", "/actions/runs/{id}/deployment_protection_rule", "deployments=write", DOC)
def review_custom_rule(call: Call) -> Answer:
    if not call.actor.via_app:  # a rule is an App's, and nobody else can answer for it
        raise Refused(403, "Resource not accessible by personal access token", doc=DOC)
    call.github.review_rule(call.repo, call.github.run_for(call), call.body(), call.person)
    return Answer(204)


@repository_routes.add("GET", "/actions/runs/{id}/approvals", "actions=read", DOC)
def approvals(call: Call) -> Answer:
    return ok(call.github.approvals_body(call.repo, call.github.run_for(call)))
