"""Checks and deployments of the simulated GitHub, by the rules of its documents.

https://docs.github.com/rest/deployments, https://docs.github.com/rest/commits/statuses and
https://docs.github.com/rest/checks/runs. Two things that the documents leave out were seen in answers that
people quote in public issues: a 409 for failed checks lists every context looked at, passed ones too, and a
check run counts with its bare conclusion, so that `skipped` and `neutral` are not `success`.
"""

from __future__ import annotations

from typing import Any

from bot.playground.github_pushes import Pushes
from bot.playground.github_state import (
    CheckRun,
    CheckSuite,
    CommitStatus,
    Deployment,
    DeploymentStatus,
    Json,
    Person,
    Repository,
)
from bot.playground.github_world import Refused

CREATE_DOC = "deployments/deployments#create-a-deployment"
MADE_BY_HAND: Json = {"workflow": None, "workflow_run": None}
COMMIT_STATES = ("error", "failure", "pending", "success")
CONCLUSIONS = (
    "action_required",
    "cancelled",
    "failure",
    "neutral",
    "skipped",
    "stale",
    "success",
    "timed_out",
)


class Deployments(Pushes):
    """Reports on commits, deployments and their statuses, each with its webhook."""

    # Checks

    def set_status(
        self,
        full_name: str,
        sha: str,
        context: str,
        state: str,
        *,
        target_url: str = "",
        description: str = "",
        creator: str = "ci-bot",
    ) -> int:
        """Reports a commit status (error, failure, pending, success) and returns its id.

        `sha` may be any ref. Raises `KeyError` and `ValueError`.
        """
        if state not in COMMIT_STATES:
            raise ValueError(f"no such commit status: {state}")
        with self.change():
            repo, person = self.repository(full_name), self.person(creator)
            commit = repo.commits[self.sha_of(repo, sha)]
            status = CommitStatus(
                self.next_id("commit_status"),
                commit.sha,
                context,
                state,
                target_url,
                description,
                person,
                self.now(),
            )
            repo.commit_statuses.append(status)
            body = self.records.commit_status(repo, status)
            named = ("id", "avatar_url", "target_url", "context", "description", "state")
            self.emit(
                repo,
                "status",
                person,
                {
                    **{key: body[key] for key in named},
                    "sha": commit.sha,
                    "name": repo.full_name,
                    "commit": self.records.commit(repo, commit),
                    "branches": [self.records.short_branch(repo, name) for name in repo.branches_at(commit.sha)],
                    "created_at": body["created_at"],
                    "updated_at": body["updated_at"],
                },
            )
            return status.id

    def set_check_run(
        self,
        full_name: str,
        sha: str,
        name: str,
        *,
        status: str = "completed",
        conclusion: str | None = None,
        details_url: str = "",
    ) -> int:
        """Reports a check run and returns its id. A run of that name that is not over is taken further.

        `status` is queued, in_progress or completed; a completed one without a conclusion is a success.
        `sha` may be any ref. Raises `KeyError` and `ValueError`.
        """
        if status not in ("queued", "in_progress", "completed"):
            raise ValueError(f"no such check run status: {status}")
        if status == "completed":
            conclusion = conclusion or "success"
        if conclusion not in (*CONCLUSIONS, None) or (conclusion and status != "completed"):
            raise ValueError(f"no such conclusion of a {status} check run: {conclusion}")
        with self.change():
            repo, now = self.repository(full_name), self.now()
            sha = self.sha_of(repo, sha)
            suite = self.suite_of(repo, sha)
            suite.updated_at = now
            run = next((r for r in repo.check_runs_of(sha) if r.name == name), None)
            fresh = run is None or run.status == "completed"
            if run is None or fresh:
                number = self.next_id("check_run")
                run = CheckRun(number, suite.id, sha, name, status, conclusion, details_url, now, None)
                repo.check_runs.append(run)
            run.status, run.conclusion = status, conclusion
            run.details_url = details_url or run.details_url
            run.completed_at = now if status == "completed" else None
            actor = self.person("github-actions[bot]", kind="Bot")
            if fresh or status == "completed":
                action = "completed" if status == "completed" else "created"
                body = self.records.check_run(repo, run, suite=suite)
                self.emit(repo, "check_run", actor, {"action": action, "check_run": body})
            if repo.suite_state(sha)[0] == "completed":
                body = self.records.check_suite(repo, suite)
                self.emit(repo, "check_suite", actor, {"action": "completed", "check_suite": body})
            return run.id

    def suite_of(self, repo: Repository, sha: str) -> CheckSuite:
        """The check suite of a commit, made when there is none yet."""
        if sha not in repo.check_suites:
            branch = next(iter(repo.branches_at(sha)), None)
            now = self.now()
            repo.check_suites[sha] = CheckSuite(self.next_id("check_suite"), sha, branch, now, now)
        return repo.check_suites[sha]

    # Deployments

    def create_deployment(
        self,
        full_name: str,
        ref: str,
        *,
        creator: str = "someone",
        environment: str = "production",
        task: str = "deploy",
        payload: Any = None,
        description: str | None = None,
        auto_merge: bool = False,
        required_contexts: list[str] | None = None,
        transient_environment: bool = False,
        production_environment: bool | None = None,
    ) -> int:
        """Creates a deployment as another tool would and returns its id; no checks unless named.

        Raises `KeyError` for an unknown repository, `Refused` for what GitHub would not do, and `ValueError`
        when `auto_merge` merged instead of creating one.
        """
        with self.change():
            made = self.try_deployment(
                self.repository(full_name),
                self.person(creator),
                {
                    "ref": ref,
                    "environment": environment,
                    "task": task,
                    "payload": {} if payload is None else payload,
                    "description": description,
                    "auto_merge": auto_merge,
                    "required_contexts": required_contexts or [],
                    "transient_environment": transient_environment,
                    "production_environment": production_environment,
                },
            )
            if isinstance(made, str):
                raise ValueError(made)
            return made.id

    def try_deployment(
        self, repo: Repository, creator: Person, asked: Json, *, via_app: bool = False, made_by: Json | None = None
    ) -> Deployment | str:
        """What `POST /deployments` does with a well-formed body, or a workflow's job by itself (`made_by`).

        Returns the deployment, or the message of a 202 when the default branch was merged instead. Raises
        `Refused` (409, 422).
        """
        ref: str = asked["ref"]
        sha = repo.resolve(ref)
        if sha is None:
            raise Refused(422, f"No ref found for: {ref}", doc=CREATE_DOC)
        branch = repo.branch_named(ref)
        default = repo.default_branch
        if asked.get("auto_merge", True) and branch and branch != default:
            behind = repo.between(sha, repo.branches[default])
            if behind and branch in repo.conflicts:
                raise Refused(409, f"Conflict merging {default} into {branch}", doc=CREATE_DOC)
            if behind:
                self.merge(repo, branch, default, creator, f"Merge {default} into {branch}")
                return f"Auto-merged {default} into {branch} on deployment."
        self._require_contexts(repo, sha, ref, asked.get("required_contexts"))

        environment = asked.get("environment", "production")
        production = asked.get("production_environment")
        now = self.now()
        deployment = Deployment(
            id=self.next_id("deployment"),
            ref=ref,
            sha=sha,
            task=asked.get("task", "deploy"),
            payload=asked.get("payload", {}),
            environment=environment,
            original_environment=environment,
            description=asked.get("description"),
            transient_environment=asked.get("transient_environment", False),
            production_environment=environment == "production" if production is None else production,
            creator=creator,
            via_app=via_app,
            created_at=now,
            updated_at=now,
            made_by=made_by or {},
        )
        repo.deployments[deployment.id] = deployment
        body = self.records.deployment(repo, deployment)
        self.emit(
            repo,
            "deployment",
            creator,
            {"action": "created", "deployment": body, **MADE_BY_HAND, **deployment.made_by},
        )
        return deployment

    def _require_contexts(self, repo: Repository, sha: str, ref: str, required: list[str] | None) -> None:
        reported = repo.contexts(sha)
        names = list(reported) if required is None else required
        looked_at = [{"context": name, "state": reported.get(name, "pending")} for name in names]
        if any(one["state"] != "success" for one in looked_at):
            error = {
                "contexts": looked_at,
                "resource": "Deployment",
                "field": "required_contexts",
                "code": "invalid",
            }
            message = f"Conflict: Commit status checks failed for {ref}."
            raise Refused(409, message, [error], doc=CREATE_DOC)

    def report(
        self,
        full_name: str,
        deployment_id: int,
        state: str,
        *,
        description: str = "",
        log_url: str = "",
        environment_url: str = "",
        environment: str | None = None,
        creator: str = "deployer",
        auto_inactive: bool = True,
    ) -> int:
        """Writes a deployment status and returns its id; any text is taken as a state. Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            asked = {
                "state": state,
                "description": description,
                "log_url": log_url,
                "environment_url": environment_url,
                "auto_inactive": auto_inactive,
                **({"environment": environment} if environment else {}),
            }
            deployment = repo.deployments[deployment_id]
            return self.add_deployment_status(repo, deployment, self.person(creator), asked).id

    def add_deployment_status(
        self, repo: Repository, deployment: Deployment, creator: Person, asked: Json, *, via_app: bool = False
    ) -> DeploymentStatus:
        """What `POST /deployments/{id}/statuses` does with a well-formed body.

        An `inactive` status queues no webhook. A success makes the earlier successful deployments to the
        same environment inactive, unless they are transient or production or `auto_inactive` is false.
        """
        status = DeploymentStatus(
            id=self.next_id("deployment_status"),
            state=asked["state"],
            description=asked.get("description") or "",
            environment=asked.get("environment") or deployment.environment,
            environment_url=asked.get("environment_url") or "",
            log_url=asked.get("log_url") or asked.get("target_url") or "",
            creator=creator,
            via_app=via_app,
            created_at=self.now(),
        )
        deployment.statuses.append(status)
        deployment.environment = status.environment
        deployment.updated_at = status.created_at
        if status.state != "inactive":
            payload = {
                "action": "created",
                "deployment_status": self.records.deployment_status(repo, deployment, status),
                "deployment": self.records.deployment(repo, deployment),
                "check_run": None,
                **MADE_BY_HAND,
                **deployment.made_by,
            }
            self.emit(repo, "deployment_status", creator, payload)
        if status.state == "success" and asked.get("auto_inactive", True):
            self._retire_earlier(repo, deployment, creator)
        return status

    def _retire_earlier(self, repo: Repository, newest: Deployment, creator: Person) -> None:
        for earlier in list(repo.newest_deployments()):
            if (
                earlier.id < newest.id
                and earlier.environment == newest.environment
                and not earlier.transient_environment
                and not earlier.production_environment
                and earlier.state == "success"
            ):
                self.add_deployment_status(repo, earlier, creator, {"state": "inactive"})

    def deployments(self, full_name: str) -> list[Json]:
        """All deployments as the API shows them, newest first."""
        with self.lock:
            repo = self.repository(full_name)
            return [self.records.deployment(repo, one) for one in repo.newest_deployments()]

    def statuses(self, full_name: str, deployment_id: int) -> list[Json]:
        """All statuses of a deployment as the API shows them, newest first. Raises `KeyError`."""
        with self.lock:
            repo = self.repository(full_name)
            deployment = repo.deployments[deployment_id]
            return [self.records.deployment_status(repo, deployment, one) for one in reversed(deployment.statuses)]
