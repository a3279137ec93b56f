"""Small readable pages for what cards link to: commits, comparisons, deployments, branches, people."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import quote

from bot.playground.github_bodies import stamp
from bot.playground.github_state import Commit, Deployment, Repository

if TYPE_CHECKING:
    from bot.playground.github import SimulatedGitHub

_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;"
    "color:#1f2328;background:#fff}a{color:#0969da;text-decoration:none}a:hover{text-decoration:underline}"
    "code{background:#eff1f3;border-radius:4px;padding:.1em .3em}li{margin:.3em 0}pre{white-space:pre-wrap;"
    "background:#f6f8fa;padding:1em;border-radius:6px}small{color:#59636e}"
    "@media(prefers-color-scheme:dark){body{color:#d1d7e0;background:#151b23}a{color:#4493f8}"
    "code,pre{background:#262c36}small{color:#9198a1}}"
)


def page(github: SimulatedGitHub, path: str) -> str | None:
    """The html at a decoded path below the site's root; None where there is nothing."""
    parts = [part for part in path.split("/") if part]
    if not parts:
        links = [_repository_link(github, repo) for repo in _repositories(github)]
        return _whole(github, "Repositories", _list(links))
    if len(parts) == 1:
        return _person(github, parts[0])
    repo = github.find_repository("/".join(parts[:2])) or github.renamed.get("/".join(parts[:2]).lower())
    if repo is None:
        return None
    body: str | None
    kind, rest = (parts[2] if len(parts) > 2 else ""), "/".join(parts[3:])
    if kind in ("", "branches"):
        body = _branches(github, repo)
    elif kind in ("commit", "commits", "tree"):
        body = _commits(github, repo, rest or repo.default_branch, whole=kind == "commit")
    elif kind == "compare":
        body = _compare(github, repo, rest)
    elif kind == "deployments":
        body = _deployments(github, repo, rest)
    elif kind == "pull":
        body = _pull(github, repo, rest)
    elif kind == "runs":
        body = _run(github, repo, rest)
    elif kind == "actions":
        body = _workflow_run(github, repo, rest.removeprefix("runs/"))
    else:
        body = None
    if body is None:
        return None
    title = " / ".join([repo.full_name, *([f"{kind} {rest}".strip()] if kind else [])])
    return _whole(github, title, f"<p>{_repository_link(github, repo)}</p>{body}")


def _repositories(github: SimulatedGitHub) -> list[Repository]:
    return list(github.repositories.values())


def _whole(github: SimulatedGitHub, title: str, body: str) -> str:
    return (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{escape(title)} · simulated GitHub</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        f"<p><small><a href='{escape(github.url)}/'>Simulated GitHub</a></small></p>"
        f"<h1>{escape(title)}</h1>{body}</html>"
    )


def _list(items: Iterable[str]) -> str:
    rows = "".join(f"<li>{item}</li>" for item in items)
    return f"<ul>{rows}</ul>" if rows else "<p>Nothing here yet.</p>"


def _link(address: str, text: str) -> str:
    return f"<a href='{escape(address, quote=True)}'>{escape(text)}</a>"


def _page_of(github: SimulatedGitHub, repo: Repository, *parts: str) -> str:
    return "/".join([github.url, repo.full_name, *(quote(part) for part in parts)])


def _repository_link(github: SimulatedGitHub, repo: Repository) -> str:
    return (
        f"{_link(_page_of(github, repo), repo.full_name)} · "
        f"{_link(_page_of(github, repo, 'deployments'), 'deployments')}"
    )


def _person(github: SimulatedGitHub, login: str) -> str | None:
    person = github.find_person(login)
    if person is None:
        return None
    own = [repo for repo in _repositories(github) if repo.owner == person]
    name = f"<p>{escape(person.name)}</p>" if person.name else ""
    return _whole(github, person.login, name + _list(_repository_link(github, repo) for repo in own))


def _commit_line(github: SimulatedGitHub, repo: Repository, commit: Commit) -> str:
    subject = escape(commit.message.partition("\n")[0])
    link = _link(_page_of(github, repo, "commit", commit.sha), commit.sha[:7])
    return f"<code>{link}</code> {subject} <small>{escape(commit.author.login)}, {stamp(commit.date)}</small>"


def _branches(github: SimulatedGitHub, repo: Repository) -> str:
    lines = [
        f"{_link(_page_of(github, repo, 'tree', name), name)}: {_commit_line(github, repo, repo.commits[sha])}"
        for name, sha in sorted(repo.branches.items())
    ]
    return f"<h2>Branches</h2>{_list(lines)}"


def _commits(github: SimulatedGitHub, repo: Repository, ref: str, *, whole: bool) -> str | None:
    sha = repo.resolve(ref)
    if sha is None:
        return None
    if not whole:
        return _list(_commit_line(github, repo, one) for one in repo.history(sha)[:100])
    commit = repo.commits[sha]
    checks = [f"{escape(name)}: {escape(state)}" for name, state in repo.contexts(sha).items()]
    return (
        f"<pre>{escape(commit.message)}</pre><p><code>{sha}</code> by {escape(commit.author.login)}, "
        f"{stamp(commit.date)}</p><h2>Checks</h2>{_list(checks)}"
    )


def _compare(github: SimulatedGitHub, repo: Repository, pair: str) -> str | None:
    own = f"{repo.owner.login}:"
    base, _, head = pair.partition("...")
    first, second = (repo.resolve(name.removeprefix(own)) for name in (base, head))
    if first is None or second is None:
        return None
    ahead, behind = repo.between(first, second), repo.between(second, first)
    return f"<p>{len(ahead)} ahead, {len(behind)} behind</p>{_list(_commit_line(github, repo, one) for one in ahead)}"


def _deployments(github: SimulatedGitHub, repo: Repository, rest: str) -> str | None:
    if not rest:
        return _list(_deployment_line(github, repo, one) for one in repo.newest_deployments())
    deployment = repo.deployments.get(int(rest)) if rest.isdecimal() else None
    if deployment is None:
        named = [one for one in repo.newest_deployments() if one.environment == rest]
        return _list(_deployment_line(github, repo, one) for one in named) if named else None
    statuses = [
        f"{stamp(one.created_at)} <b>{escape(one.state)}</b> {escape(one.description)} "
        f"<small>{escape(one.creator.login)}</small>"
        for one in deployment.statuses
    ]
    return f"<p>{_deployment_line(github, repo, deployment)}</p><h2>Statuses</h2>{_list(statuses)}"


def _deployment_line(github: SimulatedGitHub, repo: Repository, deployment: Deployment) -> str:
    number = str(deployment.id)
    return (
        f"{_link(_page_of(github, repo, 'deployments', number), number)} <b>{escape(deployment.state)}</b> "
        f"{escape(deployment.environment)} · {escape(deployment.ref)} at "
        f"<code>{_link(_page_of(github, repo, 'commit', deployment.sha), deployment.sha[:7])}</code> "
        f"<small>{escape(deployment.task)}, {escape(deployment.creator.login)}, "
        f"{stamp(deployment.created_at)}</small>"
    )


def _pull(github: SimulatedGitHub, repo: Repository, rest: str) -> str | None:
    pull = repo.pulls.get(int(rest)) if rest.isdecimal() else None
    if pull is None:
        return None
    state = "merged" if pull.merged_at else pull.state
    commits = repo.between(pull.base_sha, pull.head_sha)
    return (
        f"<h2>{escape(pull.title)}</h2><p>{escape(state)}: {escape(pull.head)} into {escape(pull.base)}, "
        f"by {escape(pull.author.login)} {escape(' '.join(pull.labels))}</p>"
        f"{_list(_commit_line(github, repo, one) for one in commits)}"
    )


def _run(github: SimulatedGitHub, repo: Repository, rest: str) -> str | None:
    run = next((one for one in repo.check_runs if str(one.id) == rest), None)
    if run is None:
        return None
    return (
        f"<p>{escape(run.name)}: {escape(run.conclusion or run.status)}</p>"
        f"<p>{_commit_line(github, repo, repo.commits[run.sha])}</p>"
    )


def _workflow_run(github: SimulatedGitHub, repo: Repository, rest: str) -> str | None:
    run = next((one for one in repo.workflow_runs.values() if str(one.id) == rest), None)
    if run is None:
        return None
    jobs = [f"{escape(job.name)}: {escape(job.conclusion or job.status)}" for job in run.jobs]
    return (
        f"<p>{escape(run.name)}: {escape(run.conclusion or run.status)}</p>{_list(jobs)}"
        f"<p>{_commit_line(github, repo, repo.commits[run.sha])}</p>"
    )
