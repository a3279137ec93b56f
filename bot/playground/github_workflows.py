"""Runs of GitHub Actions workflows, as far as their webhooks tell of them.

https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run
"""

from __future__ import annotations

from typing import Any

from bot.playground.github_bodies import node_id, stamp
from bot.playground.github_deployments import CONCLUSIONS, Deployments
from bot.playground.github_state import Json, Repository

ACTIONS = {"requested": "queued", "in_progress": "in_progress", "completed": "completed"}


class Workflows(Deployments):
    """Adds workflow runs, which are told of and kept nowhere."""

    def run_workflow(
        self,
        full_name: str,
        sha: str,
        name: str = "CI",
        *,
        action: str = "completed",
        conclusion: str | None = None,
    ) -> int:
        """Queues the `workflow_run` of a run that was requested, is in_progress or completed; returns the run's id.

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
            number = self.next_id("workflow_run")
            run = self._run(repo, self.sha_of(repo, sha), name, number)
            run |= {"status": ACTIONS[action], "conclusion": conclusion}
            actor = self.person("github-actions[bot]", kind="Bot")
            workflow = self._workflow(repo, name)
            self.emit(repo, "workflow_run", actor, {"action": action, "workflow_run": run, "workflow": workflow})
            return number

    def _workflow(self, repo: Repository, name: str) -> Json:
        number = repo.id * 1000 + sum(name.encode())
        path = f".github/workflows/{name.lower()}.yml"
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

    def _run(self, repo: Repository, sha: str, name: str, number: int) -> Json:
        suite, commit, workflow = self.suite_of(repo, sha), repo.commits[sha], self._workflow(repo, name)
        api, now = self.records.repository_api(repo), stamp(self.now())
        url = f"{api}/actions/runs/{number}"
        author = self.records.user(commit.author)
        who = {"name": commit.author.name or commit.author.login, "email": commit.author.email}
        minimal: dict[str, Any] = {
            key: value
            for key, value in self.records.repository(repo).items()
            if key in ("id", "node_id", "name", "full_name", "private", "owner", "html_url", "description", "fork")
            or (key.endswith("url") and key not in ("git_url", "ssh_url", "clone_url", "svn_url", "mirror_url"))
        }
        return {
            "id": number,
            "name": name,
            "node_id": node_id("WorkflowRun", number),
            "head_branch": suite.branch,
            "head_sha": sha,
            "path": workflow["path"],
            "display_title": commit.message.partition("\n")[0],
            "run_number": number,
            "event": "push",
            "workflow_id": workflow["id"],
            "check_suite_id": suite.id,
            "check_suite_node_id": node_id("CheckSuite", suite.id),
            "url": url,
            "html_url": f"{self.url}/{repo.full_name}/actions/runs/{number}",
            "pull_requests": self.records.pulls_at(repo, sha),
            "created_at": now,
            "updated_at": now,
            "actor": author,
            "run_attempt": 1,
            "referenced_workflows": [],
            "run_started_at": now,
            "triggering_actor": dict(author),
            "jobs_url": f"{url}/jobs",
            "logs_url": f"{url}/logs",
            "check_suite_url": f"{api}/check-suites/{suite.id}",
            "artifacts_url": f"{url}/artifacts",
            "cancel_url": f"{url}/cancel",
            "rerun_url": f"{url}/rerun",
            "previous_attempt_url": None,
            "workflow_url": workflow["url"],
            "head_commit": {
                "id": sha,
                "tree_id": commit.tree,
                "message": commit.message,
                "timestamp": stamp(commit.date),
                "author": who,
                "committer": dict(who),
            },
            "repository": minimal,
            "head_repository": dict(minimal),
        }
