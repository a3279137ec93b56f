"""The JSON that GitHub writes about people, repositories, commits and refs.

Field names and types follow GitHub's OpenAPI description (https://github.com/github/rest-api-description);
tests hold them to it.
"""

from __future__ import annotations

import base64
import difflib
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from urllib.parse import quote

from bot.playground.github_state import Commit, Hook, Json, Person, Repository

APP_CREATED = datetime(2024, 1, 1, tzinfo=UTC)
APP_EVENTS = (
    "check_run",
    "check_suite",
    "deployment",
    "deployment_status",
    "pull_request",
    "push",
    "status",
    "workflow_run",
)

# Addresses of a repository that are the API root plus a suffix; {…} are GitHub's own URI templates.
_REPOSITORY_LINKS = {
    "archive_url": "/{archive_format}{/ref}",
    "assignees_url": "/assignees{/user}",
    "blobs_url": "/git/blobs{/sha}",
    "branches_url": "/branches{/branch}",
    "collaborators_url": "/collaborators{/collaborator}",
    "comments_url": "/comments{/number}",
    "commits_url": "/commits{/sha}",
    "compare_url": "/compare/{base}...{head}",
    "contents_url": "/contents/{+path}",
    "contributors_url": "/contributors",
    "deployments_url": "/deployments",
    "downloads_url": "/downloads",
    "events_url": "/events",
    "forks_url": "/forks",
    "git_commits_url": "/git/commits{/sha}",
    "git_refs_url": "/git/refs{/sha}",
    "git_tags_url": "/git/tags{/sha}",
    "hooks_url": "/hooks",
    "issue_comment_url": "/issues/comments{/number}",
    "issue_events_url": "/issues/events{/number}",
    "issues_url": "/issues{/number}",
    "keys_url": "/keys{/key_id}",
    "labels_url": "/labels{/name}",
    "languages_url": "/languages",
    "merges_url": "/merges",
    "milestones_url": "/milestones{/number}",
    "notifications_url": "/notifications{?since,all,participating}",
    "pulls_url": "/pulls{/number}",
    "releases_url": "/releases{/id}",
    "stargazers_url": "/stargazers",
    "statuses_url": "/statuses/{sha}",
    "subscribers_url": "/subscribers",
    "subscription_url": "/subscription",
    "tags_url": "/tags",
    "teams_url": "/teams",
    "trees_url": "/git/trees{/sha}",
}
_USER_LINKS = {
    "followers_url": "/followers",
    "following_url": "/following{/other_user}",
    "gists_url": "/gists{/gist_id}",
    "starred_url": "/starred{/owner}{/repo}",
    "subscriptions_url": "/subscriptions",
    "organizations_url": "/orgs",
    "repos_url": "/repos",
    "events_url": "/events{/privacy}",
    "received_events_url": "/received_events",
}


def stamp(time: datetime) -> str:
    """A time as GitHub writes it: UTC, whole seconds, `Z`."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def node_id(kind: str, number: int | str) -> str:
    return base64.b64encode(f"{len(kind):03d}:{kind}{number}".encode()).decode()


def blob_sha(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324  # git's own naming


class Bodies:
    """Writes JSON whose addresses start with the public root that `root` gives at that moment."""

    def __init__(self, root: Callable[[], str]) -> None:
        self._root = root

    @property
    def root(self) -> str:
        """Where the html pages live."""
        return self._root()

    @property
    def api(self) -> str:
        return f"{self._root()}/api/v3"

    def repository_api(self, repo: Repository) -> str:
        return f"{self.api}/repos/{repo.full_name}"

    # People

    def user(self, person: Person) -> Json:
        """A user as it is embedded in other answers (`simple-user`)."""
        url = f"{self.api}/users/{quote(person.login)}"
        return {
            "login": person.login,
            "id": person.id,
            "node_id": node_id("User", person.id),
            "avatar_url": f"{self.root}/avatars/u/{person.id}",
            "gravatar_id": "",
            "url": url,
            "html_url": f"{self.root}/{quote(person.login)}",
            **{key: url + suffix for key, suffix in _USER_LINKS.items()},
            "type": person.kind,
            "user_view_type": "public",
            "site_admin": False,
        }

    def public_user(self, person: Person) -> Json:
        """A user as `GET /users/{login}` shows it."""
        return {
            **self.user(person),
            "name": person.name,
            "company": None,
            "blog": "",
            "location": None,
            "email": None,
            "hireable": None,
            "bio": None,
            "twitter_username": None,
            "public_repos": 0,
            "public_gists": 0,
            "followers": 0,
            "following": 0,
            "created_at": stamp(person.created_at),
            "updated_at": stamp(person.created_at),
        }

    def private_user(self, person: Person, private_repositories: int) -> Json:
        """A user as `GET /user` shows it to itself."""
        return {
            **self.public_user(person),
            "user_view_type": "private",
            "private_gists": 0,
            "total_private_repos": private_repositories,
            "owned_private_repos": 0,
            "disk_usage": 0,
            "collaborators": 0,
            "two_factor_authentication": True,
        }

    def app(self, app_id: int, slug: str, owner: Person, permissions: dict[str, str]) -> Json:
        """A GitHub App (`integration`)."""
        return {
            "id": app_id,
            "client_id": f"Iv1.{app_id:016x}",
            "slug": slug,
            "node_id": node_id("Integration", app_id),
            "owner": self.user(owner),
            "name": slug,
            "description": None,
            "external_url": f"{self.root}/apps/{slug}",
            "html_url": f"{self.root}/apps/{slug}",
            "created_at": stamp(APP_CREATED),
            "updated_at": stamp(APP_CREATED),
            "permissions": permissions,
            "events": list(APP_EVENTS),
        }

    # Repositories

    def repository(self, repo: Repository) -> Json:
        """A repository as it is embedded in other answers and in webhooks."""
        url = self.repository_api(repo)
        page = f"{self.root}/{repo.full_name}"
        open_pulls = sum(pull.state == "open" for pull in repo.pulls.values())
        return {
            "id": repo.id,
            "node_id": node_id("Repository", repo.id),
            "name": repo.name,
            "full_name": repo.full_name,
            "private": repo.private,
            "owner": self.user(repo.owner),
            "html_url": page,
            "description": None,
            "fork": repo.fork,
            "url": url,
            **{key: url + suffix for key, suffix in _REPOSITORY_LINKS.items()},
            "created_at": stamp(repo.created_at),
            "updated_at": stamp(repo.pushed_at),
            "pushed_at": stamp(repo.pushed_at),
            "git_url": page.replace("http:", "git:", 1) + ".git",
            "ssh_url": f"git@{page.split('://', 1)[-1].partition('/')[0]}:{repo.full_name}.git",
            "clone_url": f"{page}.git",
            "svn_url": page,
            "mirror_url": None,
            "homepage": None,
            "size": len(repo.commits),
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": None,
            "has_issues": True,
            "has_projects": True,
            "has_downloads": True,
            "has_wiki": True,
            "has_pages": False,
            "has_discussions": False,
            "forks_count": 0,
            "archived": False,
            "disabled": False,
            "open_issues_count": open_pulls,
            "license": None,
            "allow_forking": True,
            "is_template": False,
            "web_commit_signoff_required": False,
            "topics": [],
            "visibility": "private" if repo.private else "public",
            "forks": 0,
            "open_issues": open_pulls,
            "watchers": 0,
            "default_branch": repo.default_branch,
        }

    def full_repository(self, repo: Repository, *, writable: bool) -> Json:
        """A repository as `GET /repos/{owner}/{repo}` shows it; `writable` is what the token may do."""
        body = {
            **self.repository(repo),
            "permissions": {
                "admin": False,
                "maintain": False,
                "push": writable,
                "triage": writable,
                "pull": True,
            },
            "temp_clone_token": None,
            "allow_squash_merge": True,
            "allow_merge_commit": True,
            "allow_rebase_merge": True,
            "allow_auto_merge": False,
            "delete_branch_on_merge": False,
            "network_count": 0,
            "subscribers_count": 0,
        }
        if repo.owner.kind == "Organization":
            body["organization"] = self.user(repo.owner)
        return body

    def hook(self, repo: Repository, hook: Hook) -> Json:
        """A repository webhook; the secret is masked, as at GitHub."""
        url = f"{self.repository_api(repo)}/hooks/{hook.id}"
        code, status, message = hook.last_response
        return {
            **self._hook(hook, url, "Repository"),
            "test_url": f"{url}/test",
            "last_response": {"code": code, "status": status, "message": message},
        }

    def organization_hook(self, organization: Person, hook: Hook) -> Json:
        """An organization's webhook. Of this GitHub does not tell how the last delivery went."""
        return self._hook(hook, f"{self.api}/orgs/{organization.login}/hooks/{hook.id}", "Organization")

    def _hook(self, hook: Hook, url: str, kind: str) -> Json:
        return {
            "type": kind,
            "id": hook.id,
            "name": "web",
            "active": hook.active,
            "events": list(hook.events),
            "config": {
                "content_type": hook.content_type,
                "insecure_ssl": "0",
                "url": hook.target_url,
                **({"secret": "********"} if hook.secret else {}),
            },
            "updated_at": stamp(hook.created_at),
            "created_at": stamp(hook.created_at),
            "url": url,
            "ping_url": f"{url}/pings",
            "deliveries_url": f"{url}/deliveries",
        }

    # Commits and refs

    def git_commit(self, repo: Repository, commit: Commit) -> Json:
        url = self.repository_api(repo)
        who = {
            "name": commit.author.name or commit.author.login,
            "email": commit.author.email,
            "date": stamp(commit.date),
        }
        return {
            "author": who,
            "committer": dict(who),
            "message": commit.message,
            "tree": {"sha": commit.tree, "url": f"{url}/git/trees/{commit.tree}"},
            "url": f"{url}/git/commits/{commit.sha}",
            "comment_count": 0,
            "verification": {
                "verified": False,
                "reason": "unsigned",
                "signature": None,
                "payload": None,
                "verified_at": None,
            },
        }

    def commit(self, repo: Repository, commit: Commit) -> Json:
        """A commit as lists and comparisons show it."""
        url = f"{self.repository_api(repo)}/commits"
        page = f"{self.root}/{repo.full_name}/commit"
        user = self.user(commit.author)
        return {
            "sha": commit.sha,
            "node_id": node_id("Commit", commit.sha),
            "commit": self.git_commit(repo, commit),
            "url": f"{url}/{commit.sha}",
            "html_url": f"{page}/{commit.sha}",
            "comments_url": f"{url}/{commit.sha}/comments",
            "author": user,
            "committer": dict(user),
            "parents": [{"sha": sha, "url": f"{url}/{sha}", "html_url": f"{page}/{sha}"} for sha in commit.parents],
        }

    def full_commit(self, repo: Repository, commit: Commit) -> Json:
        """A commit as `GET /commits/{ref}` shows it, with its changed files."""
        before = repo.commits[commit.parents[0]].files if commit.parents else {}
        files = self.changed_files(repo, commit.sha, before, commit.files)
        added, removed = sum(f["additions"] for f in files), sum(f["deletions"] for f in files)
        return {
            **self.commit(repo, commit),
            "stats": {"total": added + removed, "additions": added, "deletions": removed},
            "files": files,
        }

    def changed_files(
        self, repo: Repository, sha: str, before: dict[str, bytes], after: dict[str, bytes]
    ) -> list[Json]:
        """The differences between two trees (`diff-entry`), by path."""
        entries: list[Json] = []
        for path in sorted(before.keys() | after.keys()):
            old, new = before.get(path), after.get(path)
            if old == new:
                continue
            lines = list(
                difflib.unified_diff(
                    (old or b"").decode(errors="replace").splitlines(),
                    (new or b"").decode(errors="replace").splitlines(),
                    lineterm="",
                )
            )[2:]
            added, removed = (sum(line.startswith(sign) for line in lines) for sign in "+-")
            entries.append(
                {
                    "sha": blob_sha(new if new is not None else old or b""),
                    "filename": path,
                    "status": "added" if old is None else "removed" if new is None else "modified",
                    "additions": added,
                    "deletions": removed,
                    "changes": added + removed,
                    "blob_url": f"{self.root}/{repo.full_name}/blob/{sha}/{quote(path)}",
                    "raw_url": f"{self.root}/{repo.full_name}/raw/{sha}/{quote(path)}",
                    "contents_url": f"{self.repository_api(repo)}/contents/{quote(path)}?ref={sha}",
                    "patch": "\n".join(lines),
                }
            )
        return entries

    def short_branch(self, repo: Repository, name: str) -> Json:
        sha = repo.branches[name]
        return {
            "name": name,
            "commit": {"sha": sha, "url": f"{self.repository_api(repo)}/commits/{sha}"},
            "protected": False,
        }

    def branch(self, repo: Repository, name: str) -> Json:
        url = f"{self.repository_api(repo)}/branches/{quote(name)}"
        return {
            "name": name,
            "commit": self.commit(repo, repo.commits[repo.branches[name]]),
            "_links": {"self": url, "html": f"{self.root}/{repo.full_name}/tree/{quote(name)}"},
            "protected": False,
            "protection": {
                "enabled": False,
                "required_status_checks": {"enforcement_level": "off", "contexts": [], "checks": []},
            },
            "protection_url": f"{url}/protection",
        }

    def ref(self, repo: Repository, ref: str, sha: str) -> Json:
        """A git ref; `ref` is its full name, `refs/heads/x`."""
        url = self.repository_api(repo)
        return {
            "ref": ref,
            "node_id": node_id("Ref", f"{repo.id}:{ref}"),
            "url": f"{url}/git/{quote(ref)}",
            "object": {"sha": sha, "type": "commit", "url": f"{url}/git/commits/{sha}"},
        }

    def tag(self, repo: Repository, name: str) -> Json:
        url, sha = self.repository_api(repo), repo.tags[name]
        return {
            "name": name,
            "zipball_url": f"{url}/zipball/refs/tags/{quote(name)}",
            "tarball_url": f"{url}/tarball/refs/tags/{quote(name)}",
            "commit": {"sha": sha, "url": f"{url}/commits/{sha}"},
            "node_id": node_id("Ref", f"{repo.id}:refs/tags/{name}"),
        }

    def content(self, repo: Repository, ref: str, path: str, content: bytes) -> Json:
        """A file as `GET /contents/{path}` shows it."""
        return {
            **self.content_entry(repo, ref, path, content),
            "content": base64.encodebytes(content).decode(),
            "encoding": "base64",
        }

    def content_entry(self, repo: Repository, ref: str, path: str, content: bytes | None) -> Json:
        """A file, or a directory (no content), as the listing of a directory shows it."""
        url, pages = self.repository_api(repo), f"{self.root}/{repo.full_name}"
        kind, store, shown = ("dir", "trees", "tree") if content is None else ("file", "blobs", "blob")
        sha = blob_sha(path.encode() if content is None else content)
        own = f"{url}/contents/{quote(path)}?ref={quote(ref)}"
        git, page = f"{url}/git/{store}/{sha}", f"{pages}/{shown}/{quote(ref)}/{quote(path)}"
        return {
            "name": path.rpartition("/")[2],
            "path": path,
            "sha": sha,
            "size": len(content or b""),
            "url": own,
            "html_url": page,
            "git_url": git,
            "download_url": None if content is None else f"{pages}/raw/{quote(ref)}/{quote(path)}",
            "type": kind,
            "_links": {"self": own, "git": git, "html": page},
        }
