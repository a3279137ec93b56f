"""What people do with git at the simulated GitHub: push, merge, tag, pull requests."""

from __future__ import annotations

from bot.playground.github_bodies import stamp
from bot.playground.github_state import Commit, Json, Person, Pull, Repository
from bot.playground.github_webhooks import Webhooks

NOWHERE = "0" * 40  # how a push names "no commit": before a branch exists and after it is gone


class Pushes(Webhooks):
    """Moves refs; every move of a branch queues a `push`, and keeps its pull requests up to date."""

    def push(
        self,
        full_name: str,
        branch: str,
        message: str = "Update",
        *,
        author: str = "ana-gh",
        base: str | None = None,
        count: int = 1,
        files: dict[str, bytes] | None = None,
    ) -> str:
        """Pushes `count` commits (numbered in their messages when there are several) and returns the head.

        A branch that does not exist starts at `base` (any ref), else at the default branch. `files` are
        written by the last of the commits. Raises `KeyError` for an unknown repository or base.
        """
        with self.change():
            repo, person = self.repository(full_name), self.person(author)
            start = repo.branches.get(branch) or self.sha_of(repo, base or repo.default_branch)
            head = start
            for number in range(1, count + 1):
                tree = dict(repo.commits[head].files)
                if number == count:
                    tree.update(files or {})
                text = message if count == 1 else f"{message} ({number}/{count})"
                head = repo.add_commit(text, person, self.now(), (head,), tree).sha
            self.move(repo, branch, head, person)
            return head

    def add_file(self, full_name: str, path: str, text: str, *, branch: str | None = None) -> str:
        """Commits one file to a branch (the default branch when none is named) and returns the head."""
        repo = self.repository(full_name)
        return self.push(full_name, branch or repo.default_branch, f"Write {path}", files={path: text.encode()})

    def tag(self, full_name: str, name: str, sha: str) -> None:
        """Sets a lightweight tag on a commit (any ref). Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            before, after = repo.tags.get(name), self.sha_of(repo, sha)
            repo.tags[name] = after
            self._emit_push(repo, f"refs/tags/{name}", before, after, repo.commits[after].author)

    def delete_branch(self, full_name: str, branch: str, *, author: str = "ana-gh") -> None:
        """Deletes a branch; its commits stay reachable by SHA. Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            before = repo.branches.pop(branch)
            repo.conflicts.discard(branch)
            self._emit_push(repo, f"refs/heads/{branch}", before, None, self.person(author))
            for onto in list(self.repositories.values()):
                for pull in onto.pulls.values():
                    gone = (pull.head == branch and pull.source is repo) or (pull.base == branch and onto is repo)
                    if pull.state == "open" and gone:
                        self._close(onto, pull, self.person(author))

    def rename_branch(self, full_name: str, old: str, new: str, *, author: str = "ana-gh") -> None:
        """Renames a branch, the default one too; the old name leads to the new one. Raises `KeyError`."""
        with self.change():
            repo, person = self.repository(full_name), self.person(author)
            sha = repo.branches[new] = repo.branches.pop(old)
            repo.former[old] = new
            if repo.default_branch == old:
                repo.default_branch = new
            for pull in repo.pulls.values():
                if pull.state == "open" and pull.base == old:
                    pull.base = new
                    self._emit_pull(repo, pull, "edited", person, {"changes": {"base": {"ref": {"from": old}}}})
            self._emit_push(repo, f"refs/heads/{new}", None, sha, person)
            self._emit_push(repo, f"refs/heads/{old}", sha, None, person)

    def reset_branch(self, full_name: str, branch: str, sha: str, *, author: str = "ana-gh") -> None:
        """Sets a branch to another commit by force (any ref). Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            self.move(repo, branch, self.sha_of(repo, sha), self.person(author), forced=True)

    def make_conflict(self, full_name: str, branch: str) -> None:
        """From now on the default branch cannot be merged into this one. Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            self.sha_of(repo, f"heads/{branch}")
            repo.conflicts.add(branch)

    def merge(self, repo: Repository, into: str, source: str, person: Person, message: str) -> Commit:
        """Merges a ref into a branch: a commit with both as parents becomes the branch's head."""
        onto, other = repo.branches[into], self.sha_of(repo, source)
        tree = {**repo.commits[onto].files, **repo.commits[other].files}
        commit = repo.add_commit(message, person, self.now(), (onto, other), tree)
        self.move(repo, into, commit.sha, person)
        return commit

    def move(self, repo: Repository, branch: str, sha: str, person: Person, *, forced: bool = False) -> None:
        before = repo.branches.get(branch)
        repo.branches[branch] = sha
        repo.pushed_at = self.now()
        self._emit_push(repo, f"refs/heads/{branch}", before, sha, person, forced=forced)
        for onto in list(self.repositories.values()):
            for pull in onto.pulls.values():
                if pull.state == "open" and pull.head == branch and pull.source is repo:
                    pull.head_sha = sha
                    self._emit_pull(onto, pull, "synchronize", person, {"before": before, "after": sha})
                if pull.state == "open" and pull.base == branch and onto is repo:
                    pull.base_sha = sha

    def _emit_push(
        self, repo: Repository, ref: str, before: str | None, after: str | None, person: Person, *, forced: bool = False
    ) -> None:
        new: list[Commit] = []
        if after is not None and not ref.startswith("refs/tags/"):
            new = repo.between(before or repo.branches[repo.default_branch], after)
        page = f"{self.url}/{repo.full_name}"
        compare = f"{page}/compare/{(before or NOWHERE)[:12]}...{(after or NOWHERE)[:12]}"
        self.emit(
            repo,
            "push",
            person,
            {
                "ref": ref,
                "before": before or NOWHERE,
                "after": after or NOWHERE,
                "pusher": {"name": person.login, "email": person.email},
                "created": before is None,
                "deleted": after is None,
                "forced": forced,
                "base_ref": None,
                "compare": compare,
                "commits": [self._pushed_commit(repo, commit) for commit in new],
                "head_commit": self._pushed_commit(repo, repo.commits[after]) if after else None,
            },
        )

    def _pushed_commit(self, repo: Repository, commit: Commit) -> Json:
        who = {
            "name": commit.author.name or commit.author.login,
            "email": commit.author.email,
            "username": commit.author.login,
        }
        old = repo.commits[commit.parents[0]].files if commit.parents else {}
        new = commit.files
        return {
            "id": commit.sha,
            "tree_id": commit.tree,
            "distinct": True,
            "message": commit.message,
            "timestamp": stamp(commit.date),
            "url": f"{self.url}/{repo.full_name}/commit/{commit.sha}",
            "author": who,
            "committer": dict(who),
            "added": sorted(new.keys() - old.keys()),
            "removed": sorted(old.keys() - new.keys()),
            "modified": sorted(path for path in new.keys() & old.keys() if new[path] != old[path]),
        }

    # Pull requests

    def open_pull_request(
        self,
        full_name: str,
        head: str,
        *,
        title: str | None = None,
        body: str | None = None,
        base: str | None = None,
        author: str = "ana-gh",
        labels: tuple[str, ...] = (),
        source: str | None = None,
    ) -> int:
        """Opens a pull request from a branch, of the fork `source` where one is named, and returns its number.

        Raises `KeyError`.
        """
        with self.change():
            repo, person, now = self.repository(full_name), self.person(author), self.now()
            fork = self.repository(source) if source else repo
            onto = base or repo.default_branch
            pull = Pull(
                id=self.next_id("pull"),
                number=max(repo.pulls, default=0) + 1,
                title=title or fork.commits[fork.branches[head]].message.partition("\n")[0],
                body=body,
                author=person,
                head=head,
                base=onto,
                head_sha=fork.branches[head],
                base_sha=repo.branches[onto],
                labels=[],
                state="open",
                created_at=now,
                updated_at=now,
                source=fork,
            )
            repo.pulls[pull.number] = pull
            self._emit_pull(repo, pull, "opened", person)
            for name in labels:
                self.label(full_name, pull.number, name, by=author)
            return pull.number

    def close_pull_request(
        self, full_name: str, number: int, *, merged: bool = False, by: str = "ana-gh"
    ) -> str | None:
        """Closes a pull request; with `merged` its branch is merged first, and the merge's SHA returned.

        Raises `KeyError`, and `ValueError` when it is not open.
        """
        with self.change():
            repo, person = self.repository(full_name), self.person(by)
            pull = self._pull(repo, number, "open")
            if merged:
                message = f"Merge pull request #{number} from {pull.source.owner.login}/{pull.head}\n\n{pull.title}"
                # The push to the base comes first, as at GitHub, and must not move this pull request's base.
                pull.state = "closed"
                pull.merge_commit_sha = self.merge(repo, pull.base, pull.head_sha, person, message).sha
                pull.merged_at, pull.merged_by = self.now(), person
            self._close(repo, pull, person)
            return pull.merge_commit_sha

    def reopen_pull_request(self, full_name: str, number: int, *, by: str = "ana-gh") -> None:
        """Opens a closed pull request again. Raises `KeyError`; `ValueError` when open or merged."""
        with self.change():
            repo = self.repository(full_name)
            pull = self._pull(repo, number, "closed")
            if pull.merged_at is not None:
                raise ValueError(f"pull request {number} is merged")
            pull.state, pull.closed_at = "open", None
            pull.head_sha, pull.base_sha = pull.source.branches[pull.head], repo.branches[pull.base]
            self._emit_pull(repo, pull, "reopened", self.person(by))

    def label(self, full_name: str, number: int, name: str, *, by: str = "ana-gh") -> None:
        """Puts a label on a pull request; one that is there already changes nothing. Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            pull = repo.pulls[number]
            if name not in pull.labels:
                pull.labels.append(name)
                label = {"label": self.records.label(repo, name)}
                self._emit_pull(repo, pull, "labeled", self.person(by), label)

    def unlabel(self, full_name: str, number: int, name: str, *, by: str = "ana-gh") -> None:
        """Takes a label off a pull request; one that is not there changes nothing. Raises `KeyError`."""
        with self.change():
            repo = self.repository(full_name)
            pull = repo.pulls[number]
            if name in pull.labels:
                pull.labels.remove(name)
                label = {"label": self.records.label(repo, name)}
                self._emit_pull(repo, pull, "unlabeled", self.person(by), label)

    def _pull(self, repo: Repository, number: int, state: str) -> Pull:
        pull = repo.pulls[number]
        if pull.state != state:
            raise ValueError(f"pull request {number} is {pull.state}")
        return pull

    def _close(self, repo: Repository, pull: Pull, person: Person) -> None:
        pull.state, pull.closed_at = "closed", self.now()
        self._emit_pull(repo, pull, "closed", person)

    def _emit_pull(self, repo: Repository, pull: Pull, action: str, person: Person, more: Json | None = None) -> None:
        pull.updated_at = self.now()
        body = self.records.full_pull(repo, pull)
        payload = {"action": action, "number": pull.number, "pull_request": body, **(more or {})}
        self.emit(repo, "pull_request", person, payload)
