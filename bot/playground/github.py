"""A simulated GitHub: stateful, over real HTTP, with webhooks that are sent when told to.

What people and machines do at GitHub are its methods; what the bot does comes in through `asgi`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.types import ASGIApp

from bot.playground.faults import Faulty
from bot.playground.github_bodies import stamp
from bot.playground.github_login import Logins
from bot.playground.github_rest import Call, RecordedRequest
from bot.playground.github_server import github_app
from bot.playground.github_state import Commit, Deployment, Hook, Json, Repository
from bot.playground.github_webhooks import Delivery
from bot.playground.github_world import Refused

__all__ = ["Delivery", "RecordedRequest", "Refused", "SimulatedGitHub"]


class SimulatedGitHub(Logins, Faulty[RecordedRequest]):
    """One GitHub with its people, repositories, webhooks and faults. Safe to use from several threads.

    `now` is its clock (aware datetimes; real time when none is given), `token` the bot's token (user
    `shipbot`). With `app_id` and `app_public_key` (PEM) it also knows a GitHub App that is installed on
    everything; its tokens act as `shipbot[bot]`.

    Set `url`, the public root, before use; the API root is `{url}/api/v3`. `asgi` serves both, also mounted
    below a prefix. Dropped connections need `bot.playground.serving.Served`.
    """

    def __init__(
        self,
        *,
        now: Callable[[], datetime] | None = None,
        token: str = "ghp_playground",  # noqa: S107  # made up; opens nothing
        app_id: int | None = None,
        app_public_key: str | None = None,
    ) -> None:
        Logins.__init__(self, now=now, token=token, app_id=app_id, app_public_key=app_public_key)
        Faulty.__init__(self)
        self.asgi: ASGIApp = github_app(self)

    def words_of(self, status: int) -> Any:
        return {"message": "Server Error" if status >= 500 else "Refused", "status": str(status)}

    # What endpoints look up by the ids in their path; each raises 404

    def deployment_for(self, call: Call) -> Deployment:
        number = call.args[0]
        found = call.repo.deployments.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise Refused(404, "Not Found")
        return found

    def hook_for(self, call: Call) -> Hook:
        number = call.args[0]
        found = call.repo.hooks.get(int(number)) if number.isdecimal() else None
        if found is None:
            raise Refused(404, "Not Found")
        return found

    def delivery_for(self, call: Call) -> Delivery:
        return self.delivery_of(self.hook_for(call), call.args[1])

    def delivery_of(self, hook: Hook, number: str) -> Delivery:
        for delivery in self.deliveries:
            if delivery.hook_id == hook.id and str(delivery.id) == number:
                return delivery
        raise Refused(404, "Not Found")

    # What the page shows

    def snapshot(self) -> Json:
        """Everything a page needs to show this GitHub, as plain JSON. Times are ISO 8601 in UTC.

        `{url, pending, deliveries: [{event, action, guid, status_code, delivered_at}],
        repositories: [{full_name, url, default_branch, private, branches: [{name, sha, message, author,
        date, url, ahead, behind, checks: [{name, kind, state, url}]}], tags: [{name, sha}],
        deployments: [{id, ref, sha, task, environment, creator, description, payload, state, created_at,
        url, statuses: [{id, state, description, creator, log_url, environment_url, created_at}]}],
        pulls: [{number, title, head, base, state, merged, labels, url}]}]}`. Deployments and their statuses
        are newest first; `kind` of a check is `status` or `check_run`; `ahead` and `behind` count commits
        against the default branch.
        """
        with self.lock:
            return {
                "url": self.url,
                "pending": len(self.pending),
                "deliveries": [
                    {
                        "event": one.event,
                        "action": one.action,
                        "guid": one.guid,
                        "status_code": one.status_code,
                        "delivered_at": stamp(one.delivered_at) if one.delivered_at else None,
                    }
                    for one in reversed(self.deliveries[-50:])
                ],
                "repositories": [self._repository_shown(repo) for repo in self.repositories.values()],
            }

    def _repository_shown(self, repo: Repository) -> Json:
        page = f"{self.url}/{repo.full_name}"
        others = sorted(name for name in repo.branches if name != repo.default_branch)
        return {
            "full_name": repo.full_name,
            "url": page,
            "default_branch": repo.default_branch,
            "private": repo.private,
            "branches": [self._branch_shown(repo, name) for name in [repo.default_branch, *others]],
            "tags": [{"name": name, "sha": sha} for name, sha in sorted(repo.tags.items())],
            "deployments": [self._deployment_shown(repo, one) for one in repo.newest_deployments()],
            "pulls": [
                {
                    "number": pull.number,
                    "title": pull.title,
                    "head": pull.head,
                    "base": pull.base,
                    "state": pull.state,
                    "merged": pull.merged_at is not None,
                    "labels": list(pull.labels),
                    "url": f"{page}/pull/{pull.number}",
                }
                for _, pull in sorted(repo.pulls.items(), reverse=True)
            ],
        }

    def _branch_shown(self, repo: Repository, name: str) -> Json:
        commit: Commit = repo.commits[repo.branches[name]]
        base = repo.branches[repo.default_branch]
        statuses = [
            {"name": one.context, "kind": "status", "state": one.state, "url": one.target_url}
            for one in repo.latest_statuses(commit.sha)
        ]
        runs = [
            {
                "name": run.name,
                "kind": "check_run",
                "state": run.conclusion or run.status,
                "url": run.details_url,
            }
            for run in repo.check_runs_of(commit.sha)
        ]
        return {
            "name": name,
            "sha": commit.sha,
            "message": commit.message,
            "author": commit.author.login,
            "date": stamp(commit.date),
            "url": f"{self.url}/{repo.full_name}/commit/{commit.sha}",
            "ahead": len(repo.between(base, commit.sha)),
            "behind": len(repo.between(commit.sha, base)),
            "checks": sorted(statuses + runs, key=lambda check: str(check["name"])),
        }

    def _deployment_shown(self, repo: Repository, deployment: Deployment) -> Json:
        return {
            "id": deployment.id,
            "ref": deployment.ref,
            "sha": deployment.sha,
            "task": deployment.task,
            "environment": deployment.environment,
            "creator": deployment.creator.login,
            "description": deployment.description,
            "payload": deployment.payload,
            "state": deployment.state,
            "created_at": stamp(deployment.created_at),
            "url": f"{self.url}/{repo.full_name}/deployments/{deployment.id}",
            "statuses": [
                {
                    "id": status.id,
                    "state": status.state,
                    "description": status.description,
                    "creator": status.creator.login,
                    "log_url": status.log_url,
                    "environment_url": status.environment_url,
                    "created_at": stamp(status.created_at),
                }
                for status in reversed(deployment.statuses)
            ],
        }
