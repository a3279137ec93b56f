"""The reading endpoints of the simulated GitHub below `/repos/{owner}/{repo}`."""

from __future__ import annotations

from urllib.parse import quote

from bot.playground.github_bodies import stamp
from bot.playground.github_rest import Answer, Call, Routes, ok
from bot.playground.github_state import CheckRun, Commit, Hook, Json, Person
from bot.playground.github_webhooks import Delivery
from bot.playground.github_world import Refused

MOST_COMPARED = 250  # commits that a comparison without paging lists
LEGACY_ROLES = {"maintain": "write", "triage": "read"}  # what `permission` says for the newer roles

repository_routes = Routes()
get = repository_routes.add


@get("GET", "", "metadata=read", "repos/repos#get-a-repository")
def repository(call: Call) -> Answer:
    writable = call.actor.may("contents=write")
    return ok(call.github.records.full_repository(call.repo, writable=writable))


# Refs


@get("GET", "/branches", "contents=read", "branches/branches#list-branches")
def branches(call: Call) -> Answer:
    names, links = call.page(sorted(call.repo.branches))
    return ok([call.github.records.short_branch(call.repo, name) for name in names], links)


@get("GET", "/branches/{branch*}", "contents=read", "branches/branches#get-a-branch")
def branch(call: Call) -> Answer:
    name = call.args[0]
    if name not in call.repo.branches:
        new = call.repo.former.get(name)
        if new is None:
            raise Refused(404, "Branch not found")
        place = f"{call.github.records.api}/repositories/{call.repo.id}/branches/{quote(new)}"
        return Answer(301, {"message": "Moved Permanently", "url": place}, {"Location": place})
    return ok(call.github.records.branch(call.repo, name))


@get("GET", "/tags", "contents=read", "repos/repos#list-repository-tags")
def tags(call: Call) -> Answer:
    names, links = call.page(sorted(call.repo.tags, reverse=True))
    return ok([call.github.records.tag(call.repo, name) for name in names], links)


def _refs(call: Call) -> dict[str, str]:
    return {
        **{f"refs/heads/{name}": sha for name, sha in sorted(call.repo.branches.items())},
        **{f"refs/tags/{name}": sha for name, sha in sorted(call.repo.tags.items())},
    }


@get("GET", "/git/matching-refs/{ref*}", "contents=read", "git/refs#list-matching-references")
def matching_refs(call: Call) -> Answer:
    start = f"refs/{call.args[0]}"
    records = call.github.records
    return ok([records.ref(call.repo, ref, sha) for ref, sha in _refs(call).items() if ref.startswith(start)])


@get("GET", "/git/refs?/{ref*}", "contents=read", "git/refs#get-a-reference")
def ref(call: Call) -> Answer:
    name = f"refs/{call.args[0]}"
    if name not in _refs(call):
        raise Refused(404, "Not Found")
    return ok(call.github.records.ref(call.repo, name, _refs(call)[name]))


# Commits


@get("GET", "/commits", "contents=read", "commits/commits#list-commits")
def commits(call: Call) -> Answer:
    repo = call.repo
    start = repo.resolve(call.query.get("sha") or repo.default_branch)
    if start is None:
        raise Refused(404, "Not Found")
    shown, links = call.page(repo.history(start))
    return ok([call.github.records.commit(repo, one) for one in shown], links)


@get("GET", "/commits/{ref*}/status", "statuses=read", "commits/statuses")
def combined_status(call: Call) -> Answer:
    sha = call.sha(call.args[0])
    shown, links = call.page(call.repo.latest_statuses(sha))
    return ok(call.github.records.combined_status(call.repo, sha, shown), links)


@get("GET", "/commits/{ref*}/statuses", "statuses=read", "commits/statuses")
def commit_statuses(call: Call) -> Answer:
    shown, links = call.page(call.repo.statuses_of(call.sha(call.args[0])))
    return ok([call.github.records.created_status(call.repo, one) for one in shown], links)


# The older place of the list, which PyGithub still asks.
get("GET", "/statuses/{ref*}", "statuses=read", "commits/statuses")(commit_statuses)


@get("GET", "/commits/{ref*}/check-runs", "checks=read", "checks/runs")
def check_runs(call: Call) -> Answer:
    latest = call.query.get("filter", "latest") == "latest"
    runs = call.repo.check_runs_of(call.sha(call.args[0]), latest=latest)
    return _check_runs(call, runs)


def _check_runs(call: Call, runs: list[CheckRun]) -> Answer:
    name, status = call.query.get("check_name"), call.query.get("status")
    runs = [run for run in runs if name in (None, run.name) and status in (None, run.status)]
    shown, links = call.page(runs)
    bodies = [call.github.records.check_run(call.repo, run) for run in shown]
    return ok({"total_count": len(runs), "check_runs": bodies}, links)


@get("GET", "/check-runs/{id}", "checks=read", "checks/runs#get-a-check-run")
def check_run(call: Call) -> Answer:
    run = next((run for run in call.repo.check_runs if str(run.id) == call.args[0]), None)
    if run is None:
        raise Refused(404, "Not Found")
    return ok(call.github.records.check_run(call.repo, run))


@get("GET", "/check-suites/{id}/check-runs", "checks=read", "checks/runs")
def runs_of_suite(call: Call) -> Answer:
    suite = next((s for s in call.repo.check_suites.values() if str(s.id) == call.args[0]), None)
    if suite is None:
        raise Refused(404, "Not Found")
    return _check_runs(call, call.repo.check_runs_of(suite.sha))


@get("GET", "/commits/{ref*}/check-suites", "checks=read", "checks/suites")
def check_suites(call: Call) -> Answer:
    suite = call.repo.check_suites.get(call.sha(call.args[0]))
    shown, links = call.page([suite] if suite else [])
    repository = call.github.records.repository(call.repo)
    bodies = [{**call.github.records.check_suite(call.repo, one), "repository": repository} for one in shown]
    return ok({"total_count": int(suite is not None), "check_suites": bodies}, links)


@get("GET", "/commits/{sha}/pulls", "pull_requests=read", "commits/commits")
def pulls_of_commit(call: Call) -> Answer:
    sha, repo = call.sha(call.args[0]), call.repo
    held = [p for p in repo.pulls.values() if sha in {c.sha for c in repo.between(p.base_sha, p.head_sha)}]
    shown, links = call.page(held)
    return ok([call.github.records.pull(repo, one) for one in shown], links)


@get("GET", "/commits/{ref*}", "contents=read", "commits/commits#get-a-commit")
def commit(call: Call) -> Answer:
    sha = call.sha(call.args[0])
    if "application/vnd.github.sha" in call.headers.get("accept", ""):
        return Answer(200, sha, {"Content-Type": "application/vnd.github.sha; charset=utf-8"})
    return ok(call.github.records.full_commit(call.repo, call.repo.commits[sha]))


@get("GET", "/compare/{basehead*}", "contents=read", "commits/commits#compare-two-commits")
def compare(call: Call) -> Answer:
    repo, records = call.repo, call.github.records
    base_name, dots, head_name = call.args[0].partition("...")
    own = f"{repo.owner.login}:"
    base, head = (repo.resolve(name.removeprefix(own)) for name in (base_name, head_name))
    if not dots or base is None or head is None:
        raise Refused(404, "Not Found")
    meeting = repo.merge_base(base, head)
    if meeting is None:
        raise Refused(404, f"No common ancestor between {base_name} and {head_name}.")
    ahead, behind = repo.between(base, head), repo.between(head, base)
    shown: list[Commit] = ahead[-MOST_COMPARED:]
    links: dict[str, str] = {}
    if "page" in call.query or "per_page" in call.query:
        shown, links = call.page(ahead)
    page = f"{records.root}/{repo.full_name}/compare"
    pair = f"{quote(base_name)}...{quote(head_name)}"
    fixed = f"{own}{base[:7]}...{own}{head[:7]}"
    status = {
        (False, False): "identical",
        (True, False): "ahead",
        (False, True): "behind",
        (True, True): "diverged",
    }[bool(ahead), bool(behind)]
    body: Json = {
        "url": f"{records.repository_api(repo)}/compare/{pair}",
        "html_url": f"{page}/{pair}",
        "permalink_url": f"{page}/{fixed}",
        "diff_url": f"{page}/{pair}.diff",
        "patch_url": f"{page}/{pair}.patch",
        "base_commit": records.commit(repo, repo.commits[base]),
        "merge_base_commit": records.commit(repo, repo.commits[meeting]),
        "status": status,
        "ahead_by": len(ahead),
        "behind_by": len(behind),
        "total_commits": len(ahead),
        "commits": [records.commit(repo, one) for one in shown],
    }
    if call.query.get("page", "1") == "1":
        before, after = repo.commits[meeting].files, repo.commits[head].files
        body["files"] = records.changed_files(repo, head, before, after)
    return ok(body, links)


@get("GET", "/contents{path*}", "contents=read", "repos/contents#get-repository-content")
def contents(call: Call) -> Answer:
    repo, path = call.repo, call.args[0].strip("/")
    name = call.query.get("ref") or repo.default_branch
    sha = repo.resolve(name)
    if sha is None:
        raise Refused(404, f"No commit found for the ref {name}")
    files = repo.commits[sha].files
    if path in files:
        if "raw" in call.headers.get("accept", ""):
            kind = {"Content-Type": "application/vnd.github.raw+json; charset=utf-8"}
            return Answer(200, files[path].decode("utf-8", "replace"), kind)
        return ok(call.github.records.content(repo, name, path, files[path]))
    start = f"{path}/" if path else ""
    names = {one.removeprefix(start).partition("/")[0] for one in files if one.startswith(start)}
    if not names:
        raise Refused(404, "Not Found")
    entry = call.github.records.content_entry
    return ok([entry(repo, name, start + one, files.get(start + one)) for one in sorted(names)])


# Deployments


@get("GET", "/deployments", "deployments=read", "deployments/deployments#list-deployments")
def deployments(call: Call) -> Answer:
    wanted = {key: call.query.get(key) for key in ("sha", "ref", "task", "environment")}
    wanted = {key: value for key, value in wanted.items() if value not in (None, "", "none")}
    found = [
        one
        for one in call.repo.newest_deployments()
        if all(getattr(one, key) == value for key, value in wanted.items())
    ]
    shown, links = call.page(found)
    return ok([call.github.records.deployment(call.repo, one) for one in shown], links)


@get("GET", "/deployments/{id}", "deployments=read", "deployments/deployments#get-a-deployment")
def deployment(call: Call) -> Answer:
    return ok(call.github.records.deployment(call.repo, call.github.deployment_for(call)))


@get("GET", "/deployments/{id}/statuses", "deployments=read", "deployments/statuses")
def deployment_statuses(call: Call) -> Answer:
    deployment = call.github.deployment_for(call)
    shown, links = call.page(deployment.statuses[::-1])
    records = call.github.records
    return ok([records.deployment_status(call.repo, deployment, one) for one in shown], links)


@get("GET", "/deployments/{id}/statuses/{status}", "deployments=read", "deployments/statuses")
def deployment_status(call: Call) -> Answer:
    deployment = call.github.deployment_for(call)
    for status in deployment.statuses:
        if str(status.id) == call.args[1]:
            return ok(call.github.records.deployment_status(call.repo, deployment, status))
    raise Refused(404, "Not Found")


# Pull requests and people


@get("GET", "/pulls", "pull_requests=read", "pulls/pulls#list-pull-requests")
def pulls(call: Call) -> Answer:
    state, base = call.query.get("state", "open"), call.query.get("base")
    head = call.query.get("head", "").rpartition(":")[2] or None
    found = [
        one
        for _, one in sorted(call.repo.pulls.items(), reverse=True)
        if state in ("all", one.state) and base in (None, one.base) and head in (None, one.head)
    ]
    shown, links = call.page(found)
    return ok([call.github.records.pull(call.repo, one) for one in shown], links)


@get("GET", "/pulls/{number}", "pull_requests=read", "pulls/pulls#get-a-pull-request")
def pull(call: Call) -> Answer:
    found = next((p for number, p in call.repo.pulls.items() if str(number) == call.args[0]), None)
    if found is None:
        raise Refused(404, "Not Found")
    return ok(call.github.records.full_pull(call.repo, found))


@get("GET", "/collaborators/{login}/permission", "metadata=read", "collaborators/collaborators")
def permission(call: Call) -> Answer:
    person = call.github.find_person(call.args[0])
    if person is None:
        raise Refused(404, f"{call.args[0]} is not a user")
    role = call.github.role_of(call.repo, person)
    base = call.github.custom_roles.get(role, role)
    legacy = LEGACY_ROLES.get(base, base)
    return ok({"permission": legacy, "user": _collaborator(call, person, role), "role_name": role})


def _collaborator(call: Call, person: Person, role: str) -> Json:
    order = ("read", "triage", "write", "maintain", "admin")
    base = call.github.custom_roles.get(role, role)
    rank = order.index(base) if base in order else -1
    names = ("pull", "triage", "push", "maintain", "admin")
    allowed = {name: rank >= at for at, name in enumerate(names)}
    return {**call.github.records.user(person), "permissions": allowed, "role_name": role}


# Webhooks


@get("GET", "/hooks", "repository_hooks=read", "repos/webhooks#list-repository-webhooks")
def hooks(call: Call) -> Answer:
    shown, links = call.page([hook for hook in call.repo.hooks.values() if not hook.of_app])
    return ok([call.github.records.hook(call.repo, one) for one in shown], links)


@get("GET", "/hooks/{id}", "repository_hooks=read", "repos/webhooks#get-a-repository-webhook")
def hook(call: Call) -> Answer:
    return ok(call.github.records.hook(call.repo, call.github.hook_for(call)))


@get("GET", "/hooks/{id}/deliveries", "repository_hooks=read", "repos/webhooks")
def hook_deliveries(call: Call) -> Answer:
    return delivery_page(call, call.github.hook_for(call))


def delivery_page(call: Call, hook: Hook) -> Answer:
    """Newest first, paged by cursor: the id of the first delivery of the next page."""
    sent = [one for one in reversed(call.github.deliveries) if one.hook_id == hook.id]
    size = call.query.get("per_page", "30")
    per_page = min(int(size) if size.isdecimal() and int(size) else 30, 100)
    cursor = call.query.get("cursor", "")
    start = next((at for at, one in enumerate(sent) if str(one.id) == cursor), 0)
    shown, following = sent[start : start + per_page], sent[start + per_page :]
    links = call.link({"next": {"cursor": str(following[0].id)}} if following else {})
    return ok([delivery_item(one) for one in shown], links)


@get("GET", "/hooks/{id}/deliveries/{delivery}", "repository_hooks=read", "repos/webhooks")
def hook_delivery(call: Call) -> Answer:
    one = call.github.delivery_for(call)
    return ok(
        {
            **delivery_item(one),
            "url": one.target_url,
            "request": {"headers": one.headers, "payload": one.payload},
            "response": {"headers": one.response_headers, "payload": one.response_body},
        }
    )


def delivery_item(one: Delivery) -> Json:
    """A delivery as the log lists it."""
    assert one.delivered_at is not None, "the log holds what was sent"
    installation = one.payload.get("installation")
    return {
        "id": one.id,
        "guid": one.guid,
        "delivered_at": stamp(one.delivered_at),
        "redelivery": one.redelivery,
        "duration": one.duration,
        "status": one.status,
        "status_code": one.status_code,
        "event": one.event,
        "action": one.action,
        "installation_id": installation["id"] if installation else None,
        "repository_id": one.repository_id,
        "throttled_at": None,
    }
