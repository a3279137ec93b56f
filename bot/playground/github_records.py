"""The JSON that GitHub writes about what was reported on commits (checks, deployments, pull requests) and of teams."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import quote

from bot.playground.github_bodies import Bodies, node_id, stamp
from bot.playground.github_state import (
    CheckRun,
    CheckSuite,
    CommitStatus,
    Deployment,
    DeploymentStatus,
    Json,
    Person,
    Pull,
    Repository,
)

ACTIONS_APP = (15368, "github-actions")  # the id and slug of GitHub's own Actions app


class Records(Bodies):
    """Adds checks, deployments, pull requests and teams to what `Bodies` writes.

    `bot_app` gives the app behind writes with an installation token.
    """

    def __init__(self, root: Callable[[], str], bot_app: Callable[[], Json]) -> None:
        super().__init__(root)
        self._bot_app = bot_app

    # Deployments

    def deployment(self, repo: Repository, deployment: Deployment) -> Json:
        url = f"{self.repository_api(repo)}/deployments/{deployment.id}"
        return {
            "url": url,
            "id": deployment.id,
            "node_id": node_id("Deployment", deployment.id),
            "task": deployment.task,
            "original_environment": deployment.original_environment,
            "environment": deployment.environment,
            "description": deployment.description,
            "created_at": stamp(deployment.created_at),
            "updated_at": stamp(deployment.updated_at),
            "statuses_url": f"{url}/statuses",
            "repository_url": self.repository_api(repo),
            "creator": self.user(deployment.creator),
            "sha": deployment.sha,
            "ref": deployment.ref,
            "payload": deployment.payload,
            "transient_environment": deployment.transient_environment,
            "production_environment": deployment.production_environment,
            "performed_via_github_app": self._bot_app() if deployment.via_app else None,
        }

    def deployment_status(self, repo: Repository, deployment: Deployment, status: DeploymentStatus) -> Json:
        url = f"{self.repository_api(repo)}/deployments/{deployment.id}"
        return {
            "url": f"{url}/statuses/{status.id}",
            "id": status.id,
            "node_id": node_id("DeploymentStatus", status.id),
            "state": status.state,
            "creator": self.user(status.creator),
            "description": status.description,
            "environment": status.environment,
            "target_url": status.log_url,
            "created_at": stamp(status.created_at),
            "updated_at": stamp(status.created_at),
            "deployment_url": url,
            "repository_url": self.repository_api(repo),
            "environment_url": status.environment_url,
            "log_url": status.log_url,
            "performed_via_github_app": self._bot_app() if status.via_app else None,
        }

    # Checks

    def commit_status(self, repo: Repository, status: CommitStatus) -> Json:
        return {
            "url": f"{self.repository_api(repo)}/statuses/{status.sha}",
            "avatar_url": f"{self.root}/avatars/u/{status.creator.id}",
            "id": status.id,
            "node_id": node_id("StatusContext", status.id),
            "state": status.state,
            "description": status.description or None,
            "target_url": status.target_url or None,
            "context": status.context,
            "created_at": stamp(status.created_at),
            "updated_at": stamp(status.created_at),
        }

    def created_status(self, repo: Repository, status: CommitStatus) -> Json:
        """A commit status with its creator, as the list and the answer to its creation show it."""
        return {**self.commit_status(repo, status), "creator": self.user(status.creator)}

    def combined_status(self, repo: Repository, sha: str, shown: list[CommitStatus]) -> Json:
        """The combined status of a commit. `shown` is the page of its newest statuses to list."""
        states = {status.state for status in repo.latest_statuses(sha)}
        state = "success" if states == {"success"} else "pending"
        if states & {"failure", "error"}:
            state = "failure"
        url = f"{self.repository_api(repo)}/commits/{sha}"
        return {
            "state": state,
            "statuses": [self.commit_status(repo, status) for status in shown],
            "sha": sha,
            "total_count": len(repo.latest_statuses(sha)),
            "repository": self.repository(repo),
            "commit_url": url,
            "url": f"{url}/status",
        }

    def checks_app(self, owner: Person) -> Json:
        number, slug = ACTIONS_APP
        return self.app(number, slug, owner, {"checks": "write", "contents": "read", "metadata": "read"})

    def check_run(self, repo: Repository, run: CheckRun, *, suite: CheckSuite | None = None) -> Json:
        """A check run; with `suite` its whole check suite, as webhooks carry it, instead of only the id."""
        url = f"{self.repository_api(repo)}/check-runs/{run.id}"
        page = f"{self.root}/{repo.full_name}/runs/{run.id}"
        return {
            "id": run.id,
            "name": run.name,
            "node_id": node_id("CheckRun", run.id),
            "head_sha": run.sha,
            "external_id": "",
            "url": url,
            "html_url": page,
            "details_url": run.details_url or page,
            "status": run.status,
            "conclusion": run.conclusion,
            "started_at": stamp(run.started_at),
            "completed_at": stamp(run.completed_at) if run.completed_at else None,
            "output": {
                "title": None,
                "summary": None,
                "text": None,
                "annotations_count": 0,
                "annotations_url": f"{url}/annotations",
            },
            "check_suite": {"id": run.suite_id} if suite is None else self._simple_suite(repo, suite),
            "app": self.checks_app(repo.owner),
            "pull_requests": self.pulls_at(repo, run.sha),
        }

    def check_suite(self, repo: Repository, suite: CheckSuite) -> Json:
        """A check suite as webhooks carry it."""
        status, conclusion = repo.suite_state(suite.sha)
        commit = repo.commits[suite.sha]
        url = f"{self.repository_api(repo)}/check-suites/{suite.id}"
        git = self.git_commit(repo, commit)
        who = {"name": git["author"]["name"], "email": git["author"]["email"]}
        return {
            "id": suite.id,
            "node_id": node_id("CheckSuite", suite.id),
            "head_branch": suite.branch,
            "head_sha": suite.sha,
            "status": status,
            "conclusion": conclusion,
            "url": url,
            "before": commit.parents[0] if commit.parents else None,
            "after": suite.sha,
            "pull_requests": self.pulls_at(repo, suite.sha),
            "app": self.checks_app(repo.owner),
            "created_at": stamp(suite.created_at),
            "updated_at": stamp(suite.updated_at),
            "rerequestable": True,
            "runs_rerequestable": True,
            "latest_check_runs_count": len(repo.check_runs_of(suite.sha)),
            "check_runs_url": f"{url}/check-runs",
            "head_commit": {
                "id": suite.sha,
                "tree_id": commit.tree,
                "message": commit.message,
                "timestamp": stamp(commit.date),
                "author": who,
                "committer": dict(who),
            },
        }

    def _simple_suite(self, repo: Repository, suite: CheckSuite) -> Json:
        """A check suite as the webhook of one of its runs carries it."""
        body = self.check_suite(repo, suite)
        alone = (
            "head_commit",
            "latest_check_runs_count",
            "check_runs_url",
            "rerequestable",
            "runs_rerequestable",
        )
        return {key: value for key, value in body.items() if key not in alone}

    # Teams

    def team(self, organization: Person, slug: str, members: int, repositories: int) -> Json:
        """A team as `GET /orgs/{org}/teams/{team}` shows it, with how many members and repositories there are."""
        number = organization.id * 1000 + sum(slug.encode())
        url = f"{self.api}/organizations/{organization.id}/team/{number}"
        orgs, page = f"{self.api}/orgs/{organization.login}", f"{self.root}/{organization.login}"
        when = stamp(organization.created_at)
        return {
            "id": number,
            "node_id": node_id("Team", number),
            "url": url,
            "html_url": f"{self.root}/orgs/{organization.login}/teams/{slug}",
            "name": slug,
            "slug": slug,
            "description": None,
            "privacy": "closed",
            "notification_setting": "notifications_enabled",
            "permission": "pull",
            "members_url": f"{url}/members{{/member}}",
            "repositories_url": f"{url}/repos",
            "parent": None,
            "members_count": members,
            "repos_count": repositories,
            "created_at": when,
            "updated_at": when,
            "type": "organization",
            "organization_id": organization.id,
            "organization": {
                "login": organization.login,
                "id": organization.id,
                "node_id": node_id("Organization", organization.id),
                "url": orgs,
                "repos_url": f"{orgs}/repos",
                "events_url": f"{orgs}/events",
                "hooks_url": f"{orgs}/hooks",
                "issues_url": f"{orgs}/issues",
                "members_url": f"{orgs}/members{{/member}}",
                "public_members_url": f"{orgs}/public_members{{/member}}",
                "avatar_url": f"{self.root}/avatars/u/{organization.id}",
                "description": None,
                "has_organization_projects": True,
                "has_repository_projects": True,
                "public_repos": 0,
                "public_gists": 0,
                "followers": 0,
                "following": 0,
                "html_url": page,
                "created_at": when,
                "updated_at": when,
                "archived_at": None,
                "type": "Organization",
            },
        }

    # Pull requests

    def pulls_at(self, repo: Repository, sha: str) -> list[Json]:
        """The open pull requests whose head is this commit, in their shortest form."""
        short = {"id": repo.id, "url": self.repository_api(repo), "name": repo.name}
        return [
            {
                "url": f"{self.repository_api(repo)}/pulls/{pull.number}",
                "id": pull.id,
                "number": pull.number,
                "head": {"ref": pull.head, "sha": pull.head_sha, "repo": short},
                "base": {"ref": pull.base, "sha": pull.base_sha, "repo": short},
            }
            for pull in repo.pulls.values()
            if pull.state == "open" and pull.head_sha == sha
        ]

    def label(self, repo: Repository, name: str) -> Json:
        number = repo.id * 1000 + sum(name.encode())
        return {
            "id": number,
            "node_id": node_id("Label", number),
            "url": f"{self.repository_api(repo)}/labels/{quote(name)}",
            "name": name,
            "color": "ededed",
            "default": False,
            "description": None,
            "archived_at": None,
            "archived_by": None,
        }

    def pull(self, repo: Repository, pull: Pull) -> Json:
        """A pull request as lists show it."""
        url = self.repository_api(repo)
        own, issue = f"{url}/pulls/{pull.number}", f"{url}/issues/{pull.number}"
        page = f"{self.root}/{repo.full_name}/pull/{pull.number}"
        links = {
            "html": page,
            "issue": issue,
            "comments": f"{issue}/comments",
            "review_comments": f"{own}/comments",
            "review_comment": f"{url}/pulls/comments{{/number}}",
            "commits": f"{own}/commits",
            "statuses": f"{url}/statuses/{pull.head_sha}",
        }
        ends = {
            side: {
                "label": f"{of.owner.login}:{ref}",
                "ref": ref,
                "sha": sha,
                "user": self.user(of.owner),
                "repo": self.repository(of),
            }
            for side, of, ref, sha in (
                ("head", pull.source, pull.head, pull.head_sha),
                ("base", repo, pull.base, pull.base_sha),
            )
        }
        return {
            "url": own,
            "id": pull.id,
            "node_id": node_id("PullRequest", pull.id),
            "html_url": page,
            "diff_url": f"{page}.diff",
            "patch_url": f"{page}.patch",
            **{f"{key}_url": value for key, value in links.items() if key != "html"},
            "number": pull.number,
            "state": pull.state,
            "locked": False,
            "title": pull.title,
            "user": self.user(pull.author),
            "body": pull.body,
            "created_at": stamp(pull.created_at),
            "updated_at": stamp(pull.updated_at),
            "closed_at": stamp(pull.closed_at) if pull.closed_at else None,
            "merged_at": stamp(pull.merged_at) if pull.merged_at else None,
            "merge_commit_sha": pull.merge_commit_sha,
            "assignee": None,
            "assignees": [],
            "requested_reviewers": [],
            "requested_teams": [],
            "labels": [self.label(repo, name) for name in pull.labels],
            "milestone": None,
            "draft": False,
            **ends,
            "_links": {key: {"href": value} for key, value in {"self": own, **links}.items()},
            "author_association": "MEMBER",
            "auto_merge": None,
            "active_lock_reason": None,
        }

    def full_pull(self, repo: Repository, pull: Pull) -> Json:
        """A pull request as `GET /pulls/{number}` and webhooks show it."""
        commits = repo.between(pull.base_sha, pull.head_sha)
        base = repo.merge_base(pull.base_sha, pull.head_sha)
        before = repo.commits[base].files if base else {}
        files = self.changed_files(repo, pull.head_sha, before, repo.commits[pull.head_sha].files)
        clean = None if pull.state == "closed" else pull.head not in repo.conflicts
        return {
            **self.pull(repo, pull),
            "merged": pull.merged_at is not None,
            "mergeable": clean,
            "rebaseable": clean,
            "mergeable_state": {None: "unknown", True: "clean", False: "dirty"}[clean],
            "merged_by": self.user(pull.merged_by) if pull.merged_by else None,
            "comments": 0,
            "review_comments": 0,
            "maintainer_can_modify": False,
            "commits": len(commits),
            "additions": sum(entry["additions"] for entry in files),
            "deletions": sum(entry["deletions"] for entry in files),
            "changed_files": len(files),
        }
