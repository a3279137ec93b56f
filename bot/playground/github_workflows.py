"""GitHub Actions of the simulated GitHub: workflows are the files of the repository, and what runs do is told to it.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-syntax and
https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Any

import yaml

from bot.playground.github_bodies import node_id, stamp
from bot.playground.github_deployments import CONCLUSIONS, Deployments
from bot.playground.github_state import Deployment, Job, Json, Person, Repository, WorkflowRun
from bot.playground.github_world import Refused

ACTIONS = {"requested": "queued", "in_progress": "in_progress", "completed": "completed"}
FOLDER = ".github/workflows/"
DISPATCH_DOC = "actions/workflows#create-a-workflow-dispatch-event"
MOST_INPUTS = 25


class Workflows(Deployments):
    """Adds workflows and their runs. A push starts none; a dispatch does, and a deployment those with `on: deployment`.

    Jobs do nothing by themselves: `set_job` and `finish_run` say what becomes of them. `slow_runs` counts dispatches
    whose run appears only when `let_runs_appear` is called. An `older` server knows no `return_run_details`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.slow_runs = 0
        self.older = False
        self._hidden: dict[str, list[WorkflowRun]] = {}

    def run_workflow(
        self,
        full_name: str,
        sha: str,
        name: str = "CI",
        *,
        action: str = "completed",
        conclusion: str | None = None,
    ) -> int:
        """A run of a push that was requested, is in_progress or completed, with its `workflow_run`; returns its id.

        What its jobs report on the commit are check runs, for `set_check_run`. A completed run without a conclusion is
        a success. `sha` may be any ref. Raises `KeyError` and `ValueError`.
        """
        if action not in ACTIONS:
            raise ValueError(f"no such action of a workflow run: {action}")
        if action == "completed":
            conclusion = conclusion or "success"
        if conclusion not in (*CONCLUSIONS, None) or (conclusion and action != "completed"):
            raise ValueError(f"no such conclusion of a workflow run that is {action}: {conclusion}")
        with self.change():
            repo = self.repository(full_name)
            sha = self.sha_of(repo, sha)
            path, actor = f"{FOLDER}{name.lower()}.yml", self.person("github-actions[bot]", kind="Bot")
            run = self._new_run(repo, path, name, sha, self.suite_of(repo, sha).branch, "push", actor)
            run.status, run.conclusion = ACTIONS[action], conclusion
            self._tell(repo, run, action)
            return run.id

    # What machines do

    def set_job(
        self, full_name: str, run_id: int, name: str, status: str = "completed", conclusion: str | None = None
    ) -> None:
        """Takes a job of a run further, and the run with it; on the commit it is a check run.

        A completed one without a conclusion is a success. Raises `KeyError` and `ValueError`.
        """
        with self.change():
            repo = self.repository(full_name)
            run = repo.workflow_runs[run_id]
            if status == "completed":
                conclusion = conclusion or "success"
            job = next((one for one in run.jobs if one.name == name), None)
            if job is None:
                job = Job(self.next_id("job"), name, status, conclusion, self.now())
                run.jobs.append(job)
            job.status, job.conclusion = status, conclusion
            job.completed_at = self.now() if status == "completed" else None
            begun = run.status != "in_progress" and status in ("in_progress", "completed")
            if begun:
                run.status, run.updated_at = "in_progress", self.now()
            if status in ("queued", "in_progress", "completed"):
                self.set_check_run(full_name, run.sha, name, status=status, conclusion=conclusion)
            if begun:
                self._tell(repo, run, "in_progress")

    def finish_run(self, full_name: str, run_id: int, conclusion: str = "success") -> None:
        """The run comes to an end, and with it the jobs that have none yet. Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            run = repo.workflow_runs[run_id]
            for job in [one for one in run.jobs if one.status != "completed"]:
                job.status, job.conclusion, job.completed_at = "completed", conclusion, self.now()
            run.status, run.conclusion, run.updated_at = "completed", conclusion, self.now()
            self._tell(repo, run, "completed")

    def cancel_run(self, repo: Repository, run: WorkflowRun) -> None:
        """What `POST …/cancel` does. Raises `Refused` for a run that is over."""
        if run.status == "completed":
            raise Refused(409, "Cannot cancel a workflow run that is completed.")
        self.finish_run(repo.full_name, run.id, "cancelled")

    def runs_of(self, full_name: str) -> list[WorkflowRun]:
        """All runs that have appeared, newest first."""
        with self.lock:
            found = self.repository(full_name).workflow_runs
            return [found[number] for number in sorted(found, reverse=True)]

    def let_runs_appear(self, full_name: str) -> None:
        """Those that were dispatched while `slow_runs` was set appear now."""
        with self.change():
            repo = self.repository(full_name)
            for run in self._hidden.pop(repo.full_name, []):
                repo.workflow_runs[run.id] = run
                self._tell(repo, run, "requested")

    def dispatch(self, repo: Repository, actor: Person, path: str, ref: str, inputs: dict[str, Any]) -> WorkflowRun:
        """What `POST …/dispatches` does with a well-formed body. Raises `Refused` (422)."""
        branch = repo.branch_named(ref)
        name = ref.removeprefix("refs/tags/")
        sha = repo.branches[branch] if branch else repo.tags.get(name)
        if sha is None:
            raise Refused(422, f"No ref found for: {ref}", doc=DISPATCH_DOC)
        file = workflow_file(repo, sha, path)
        if "workflow_dispatch" not in triggers(file):
            raise Refused(422, "Workflow does not have 'workflow_dispatch' trigger", doc=DISPATCH_DOC)
        declared = (triggers(file)["workflow_dispatch"] or {}).get("inputs") or {}
        unknown = sorted(set(inputs) - set(declared))
        if unknown or len(inputs) > MOST_INPUTS:
            raise Refused(422, f"Unexpected inputs provided: {unknown}", doc=DISPATCH_DOC)
        for key, kind in declared.items():
            if (kind or {}).get("required") == "true" and not inputs.get(key) and not kind.get("default"):
                raise Refused(422, f"Required input '{key}' not provided", doc=DISPATCH_DOC)
        given = {key: str((kind or {}).get("default") or "") for key, kind in declared.items()}
        given |= {key: str(value) for key, value in inputs.items()}
        title = file.get("run-name") or file.get("name") or path
        title = re.sub(r"\$\{\{\s*inputs\.([\w-]+)\s*\}\}", lambda found: given.get(found[1], ""), title)
        run = self._new_run(repo, path, file.get("name") or path, sha, branch, "workflow_dispatch", actor, title)
        run.inputs = given
        if self.slow_runs:
            self.slow_runs -= 1
            del repo.workflow_runs[run.id]
            self._hidden.setdefault(repo.full_name, []).append(run)
        else:
            self._tell(repo, run, "requested")
        return run

    def try_deployment(
        self, repo: Repository, creator: Person, asked: Json, *, via_app: bool = False, made_by: Json | None = None
    ) -> Deployment | str:
        made = super().try_deployment(repo, creator, asked, via_app=via_app, made_by=made_by)
        if made_by:  # what workflows do by themselves starts none
            return made
        if isinstance(made, Deployment):
            for path in workflow_paths(repo, made.sha):
                file = workflow_file(repo, made.sha, path)
                if "deployment" in triggers(file):
                    name = file.get("name") or path
                    run = self._new_run(repo, path, name, made.sha, None, "deployment", creator)
                    self._tell(repo, run, "requested")
        return made

    # Bodies

    def _new_run(
        self,
        repo: Repository,
        path: str,
        name: str,
        sha: str,
        branch: str | None,
        event: str,
        actor: Person,
        title: str = "",
    ) -> WorkflowRun:
        now = self.now()
        title = title or repo.commits[sha].message.partition("\n")[0]
        number = 1 + sum(one.path == path for one in repo.workflow_runs.values())
        run = WorkflowRun(self.next_id("workflow_run"), number, path, name, title, sha, branch, event, actor, now, now)
        repo.workflow_runs[run.id] = run
        return run

    def _tell(self, repo: Repository, run: WorkflowRun, action: str) -> None:
        actor = self.person("github-actions[bot]", kind="Bot")
        body, workflow = self.workflow_run_body(repo, run), self.workflow_body(repo, run.path, run.name)
        self.emit(repo, "workflow_run", actor, {"action": action, "workflow_run": body, "workflow": workflow})

    def workflow_body(self, repo: Repository, path: str, name: str) -> Json:
        """A workflow as the API shows it."""
        number = repo.id * 1000 + sum(path.encode())
        page = f"{self.url}/{repo.full_name}"
        return {
            "id": number,
            "node_id": node_id("Workflow", number),
            "name": name,
            "path": path,
            "state": "active",
            "created_at": stamp(repo.created_at),
            "updated_at": stamp(repo.created_at),
            "url": f"{self.records.repository_api(repo)}/actions/workflows/{number}",
            "html_url": f"{page}/blob/{repo.default_branch}/{path}",
            "badge_url": f"{page}/workflows/{name}/badge.svg",
        }

    def workflow_run_body(self, repo: Repository, run: WorkflowRun) -> Json:
        """A run as the API and webhooks show it."""
        suite, commit = self.suite_of(repo, run.sha), repo.commits[run.sha]
        workflow = self.workflow_body(repo, run.path, run.name)
        api = self.records.repository_api(repo)
        url = f"{api}/actions/runs/{run.id}"
        actor = self.records.user(run.actor)
        who = {"name": commit.author.name or commit.author.login, "email": commit.author.email}
        minimal: dict[str, Any] = {
            key: value
            for key, value in self.records.repository(repo).items()
            if key in ("id", "node_id", "name", "full_name", "private", "owner", "html_url", "description", "fork")
            or (key.endswith("url") and key not in ("git_url", "ssh_url", "clone_url", "svn_url", "mirror_url"))
        }
        return {
            "id": run.id,
            "name": run.name,
            "node_id": node_id("WorkflowRun", run.id),
            "head_branch": run.branch,
            "head_sha": run.sha,
            "path": run.path,
            "display_title": run.title,
            "run_number": run.number,
            "event": run.event,
            "status": run.status,
            "conclusion": run.conclusion,
            "workflow_id": workflow["id"],
            "check_suite_id": suite.id,
            "check_suite_node_id": node_id("CheckSuite", suite.id),
            "url": url,
            "html_url": f"{self.url}/{repo.full_name}/actions/runs/{run.id}",
            "pull_requests": self.records.pulls_at(repo, run.sha),
            "created_at": stamp(run.created_at),
            "updated_at": stamp(run.updated_at),
            "actor": actor,
            "run_attempt": 1,
            "referenced_workflows": [],
            "run_started_at": stamp(run.created_at),
            "triggering_actor": dict(actor),
            "jobs_url": f"{url}/jobs",
            "logs_url": f"{url}/logs",
            "check_suite_url": f"{api}/check-suites/{suite.id}",
            "artifacts_url": f"{url}/artifacts",
            "cancel_url": f"{url}/cancel",
            "rerun_url": f"{url}/rerun",
            "previous_attempt_url": None,
            "workflow_url": workflow["url"],
            "head_commit": {
                "id": run.sha,
                "tree_id": commit.tree,
                "message": commit.message,
                "timestamp": stamp(commit.date),
                "author": who,
                "committer": dict(who),
            },
            "repository": minimal,
            "head_repository": dict(minimal),
        }

    def job_body(self, repo: Repository, run: WorkflowRun, job: Job) -> Json:
        """A job as the API shows it."""
        api = self.records.repository_api(repo)
        return {
            "id": job.id,
            "run_id": run.id,
            "workflow_name": run.name,
            "head_branch": run.branch,
            "run_url": f"{api}/actions/runs/{run.id}",
            "run_attempt": 1,
            "node_id": node_id("CheckRun", job.id),
            "head_sha": run.sha,
            "url": f"{api}/actions/jobs/{job.id}",
            "html_url": f"{self.url}/{repo.full_name}/actions/runs/{run.id}/job/{job.id}",
            "status": job.status,
            "conclusion": job.conclusion,
            "created_at": stamp(job.created_at),
            "started_at": stamp(job.created_at),
            "completed_at": stamp(job.completed_at) if job.completed_at else None,
            "name": job.name,
            "steps": [],
            "check_run_url": f"{api}/check-runs/{job.id}",
            "labels": ["ubuntu-latest"],
            "runner_id": None,
            "runner_name": None,
            "runner_group_id": None,
            "runner_group_name": None,
        }


def workflow_paths(repo: Repository, sha: str) -> list[str]:
    """The files of a commit that are workflows."""
    return sorted(
        path
        for path in repo.commits[sha].files
        if path.startswith(FOLDER) and PurePosixPath(path).suffix in (".yml", ".yaml")
    )


def workflow_file(repo: Repository, sha: str, path: str) -> Json:
    """What such a file says; nothing where there is none, or none that can be read."""
    try:
        read = yaml.load(repo.commits[sha].files.get(path, b""), yaml.BaseLoader)  # noqa: S506  # makes texts only
    except yaml.YAMLError:
        return {}
    return read if isinstance(read, dict) else {}


def triggers(file: Json) -> Json:
    """What stands under `on`, by event."""
    on = file.get("on")
    if isinstance(on, str):
        return {on: None}
    return dict.fromkeys(on) if isinstance(on, list) else on or {}
