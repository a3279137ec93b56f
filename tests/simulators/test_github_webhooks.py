"""Webhooks: what is queued, how it is signed, what is sent again, and what the log says."""

from __future__ import annotations

import hashlib
import hmac
import json
import queue
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from urllib.parse import parse_qs

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bot.deploys.events import ChecksChanged, Pushed
from bot.github.objects import Malformed
from bot.github.payloads import essence, parse_webhook
from bot.playground.github import SimulatedGitHub
from bot.playground.serving import Served
from tests.truth import check_github_record, served_github

WEB = "/repos/acme/web"
SECRET = "s3cret"


class Receiver:
    """Takes webhooks on a real server; answers with the status it is told to."""

    def __init__(self) -> None:
        self.status = 202
        self.got: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()
        self.app = Starlette(routes=[Route("/hooks", self._take, methods=["POST"])])
        self.url = ""

    async def _take(self, request: Request) -> PlainTextResponse:
        self.got.put((dict(request.headers), await request.body()))
        return PlainTextResponse("stored", self.status)

    def next(self) -> tuple[dict[str, str], bytes]:
        return self.got.get(timeout=10)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    with Served(one.app) as served:
        one.url = f"{served.url}/hooks"
        yield one


@pytest.fixture
def github() -> Iterator[SimulatedGitHub]:
    with served_github(now=lambda: datetime(2030, 5, 6, 9, 0, tzinfo=UTC)) as simulated:
        simulated.add_user("ana-gh", "Ana Lang")
        simulated.add_repository("acme/web")
        yield simulated
        check_github_record(simulated, refused_too=False)


def events(github: SimulatedGitHub) -> list[str]:
    return [f"{one.event}.{one.action}" if one.action else one.event for one in github.pending]


@pytest.mark.parametrize("content_type", ["json", "form"])
def test_a_delivery_is_signed_over_its_raw_bytes(github, receiver, content_type):
    hook = github.add_hook("acme/web", receiver.url, secret=SECRET, content_type=content_type)
    github.push("acme/web", "main", "Größe & <Form>")
    assert events(github) == ["ping", "push"]
    assert github.deliver() == [202, 202]
    receiver.next()
    headers, body = receiver.next()
    signature = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["x-hub-signature-256"] == f"sha256={signature}"
    assert headers["x-github-event"] == "push"
    assert headers["x-github-hook-id"] == str(hook)
    assert headers["user-agent"].startswith("GitHub-Hookshot/")
    if content_type == "form":
        assert headers["content-type"] == "application/x-www-form-urlencoded"
        [text] = parse_qs(body.decode())["payload"]
    else:
        assert headers["content-type"] == "application/json"
        text = body.decode()
    payload = json.loads(text)
    assert payload["head_commit"]["message"] == "Größe & <Form>"
    assert payload["repository"]["created_at"] == 1904288400
    assert payload["organization"]["login"] == "acme"


def test_a_hook_gets_what_it_asked_for(github, receiver):
    github.add_hook("acme/web", receiver.url, secret=SECRET, events=("deployment_status",))
    number = github.create_deployment("acme/web", "main", payload={"room_id": "C0OPS"})
    github.report("acme/web", number, "success")
    assert events(github) == ["ping", "deployment_status.created"]
    assert github.pending[1].payload["deployment"]["payload"] == {"room_id": "C0OPS"}
    assert github.pending[1].payload["sender"]["login"] == "deployer"


def test_every_event_that_people_and_machines_cause(github, receiver):
    github.add_hook("acme/web", receiver.url, secret=SECRET)
    del github.pending[:]
    sha = github.push("acme/web", "topic", count=2)
    assert events(github) == ["push"]
    assert [len(one.payload["commits"]) for one in github.pending] == [2]
    assert github.pending[0].payload["created"] is True
    del github.pending[:]
    github.set_status("acme/web", sha, "ci/build", "success", creator="ci-bot")
    github.set_check_run("acme/web", sha, "lint", status="queued")
    github.set_check_run("acme/web", sha, "lint", status="in_progress")
    github.set_check_run("acme/web", sha, "lint", conclusion="failure")
    assert events(github) == [
        "status",
        "check_run.created",
        "check_run.completed",
        "check_suite.completed",
    ]
    assert [one["name"] for one in github.pending[0].payload["branches"]] == ["topic"]
    del github.pending[:]
    number = github.open_pull_request("acme/web", "topic")
    github.label("acme/web", number, "preview")
    github.label("acme/web", number, "preview")
    github.push("acme/web", "topic")
    github.set_check_run("acme/web", "topic", "lint")
    github.unlabel("acme/web", number, "preview")
    github.close_pull_request("acme/web", number)
    github.reopen_pull_request("acme/web", number)
    github.close_pull_request("acme/web", number, merged=True)
    assert events(github) == [
        "pull_request.opened",
        "pull_request.labeled",
        "push",
        "pull_request.synchronize",
        "check_run.completed",
        "check_suite.completed",
        "pull_request.unlabeled",
        "pull_request.closed",
        "pull_request.reopened",
        "push",
        "pull_request.closed",
    ]
    assert github.pending[-1].payload["pull_request"]["merged"] is True
    del github.pending[:]
    fork = github.fork_repository("acme/web", "mallory")
    head = github.push(fork, "topic", author="mallory")
    github.open_pull_request("acme/web", "topic", author="mallory", source=fork)
    github.push("acme/web", "topic")
    assert github.push(fork, "topic", author="mallory") != head
    github.delete_branch(fork, "topic", author="mallory")
    assert events(github) == ["pull_request.opened", "push", "pull_request.synchronize", "pull_request.closed"]
    sides = [github.pending[0].payload["pull_request"][side] for side in ("head", "base")]
    assert [(side["label"], side["repo"]["full_name"], side["repo"]["fork"]) for side in sides] == [
        ("mallory:topic", "mallory/web", True),
        ("acme:main", "acme/web", False),
    ]
    del github.pending[:]
    github.tag("acme/web", "v1", sha)
    github.delete_branch("acme/web", "topic")
    assert events(github) == ["push", "push"]
    assert [one.payload["ref"] for one in github.pending] == ["refs/tags/v1", "refs/heads/topic"]
    assert github.pending[1].payload["deleted"] is True


def test_the_bot_reads_of_every_report_only_which_commit_it_is_about(github, receiver):
    github.add_hook("acme/web", receiver.url, secret=SECRET)
    sha = github.push("acme/web", "topic")
    del github.pending[:]
    github.set_status("acme/web", "topic", "ci/build", "pending")
    github.set_check_run("acme/web", "topic", "lint", status="queued")
    github.set_check_run("acme/web", "topic", "lint")
    for action in ("requested", "in_progress", "completed"):
        github.run_workflow("acme/web", "topic", action=action)
    assert {one.event for one in github.pending} == {"status", "check_run", "check_suite", "workflow_run"}
    for one in github.pending:
        kept = essence(one.event, one.body)
        assert len(kept) < 150
        for body in (one.body, kept):
            assert parse_webhook(one.event, body) == ChecksChanged("acme/web", sha)


def test_what_the_bot_reads_of_a_push(github, receiver):
    github.add_hook("acme/web", receiver.url, secret=SECRET)
    del github.pending[:]
    sha = github.push("acme/web", "topic", "Fix it\n\n[skip deploy]", author="ana-gh", files={"a/b.yml": b"x"})
    github.tag("acme/web", "v1/2", sha)
    github.delete_branch("acme/web", "topic")
    read = [parse_webhook(one.event, essence(one.event, one.body)) for one in github.pending]
    assert read == [parse_webhook(one.event, one.body) for one in github.pending]
    message = "Fix it\n\n[skip deploy]"
    assert read == [
        Pushed("acme/web", "topic", "", sha, "ana-gh", message, frozenset({"a/b.yml"})),
        Pushed("acme/web", "", "v1/2", sha, "ana-gh", message),
        Pushed("acme/web", "topic", "", "", "ana-gh"),
    ]


def test_what_the_bot_reads_of_a_pull_request(github, receiver):
    github.push("acme/web", "topic")
    github.add_hook("acme/web", receiver.url, secret=SECRET, events=("pull_request",))
    del github.pending[:]
    number = github.open_pull_request("acme/web", "topic", title="New prices", author="ana-gh", labels=("preview",))
    merged = github.close_pull_request("acme/web", number, merged=True, by="ana-gh")
    read = [parse_webhook(one.event, essence(one.event, one.body)) for one in github.pending]
    assert [(event.action, event.login, event.label) for event in read] == [
        ("opened", "ana-gh", ""),
        ("labeled", "ana-gh", "preview"),
        ("closed", "ana-gh", ""),
    ]
    opened, _, closed = (event.pull for event in read)
    assert (opened.repository, opened.number, opened.title, opened.author) == ("acme/web", 1, "New prices", "ana-gh")
    assert (opened.head, opened.base, opened.sha) == ("topic", "main", github.head("acme/web", "topic"))
    assert (opened.open, opened.draft, opened.fork, opened.merged, opened.merge_sha) == (True, False, False, False, "")
    assert (closed.open, closed.merged, closed.merge_sha, closed.merged_by) == (False, True, merged, "ana-gh")
    assert closed.labels == {"preview"}


@pytest.mark.parametrize(
    ("event", "body", "place"),
    [
        ("push", {"ref": "refs/heads/main", "deleted": False, "repository": {"full_name": "acme/web"}}, "after"),
        ("pull_request", {"action": "opened", "repository": {"full_name": "acme/web"}}, "pull_request"),
        ("status", {"repository": {"full_name": "acme/web"}}, "sha"),
        ("check_run", {"check_run": {"head_sha": 1}, "repository": {"full_name": "acme/web"}}, "$.check_run.head_sha"),
        ("check_suite", {"check_suite": {"head_sha": "a"}}, "repository"),
        ("workflow_run", {"workflow_run": None, "repository": {"full_name": "acme/web"}}, "$.workflow_run"),
    ],
)
def test_what_names_no_commit_is_malformed(event, body, place):
    with pytest.raises(Malformed, match=re.escape(place)):
        parse_webhook(event, json.dumps(body))


def test_a_test_may_lose_double_and_reorder(github, receiver):
    github.add_hook("acme/web", receiver.url, secret=SECRET)
    github.deliver()
    receiver.next()
    for message in ("one", "two", "three"):
        github.push("acme/web", "main", message)
    one, two, three = github.pending
    github.pending.remove(one)
    assert github.deliver(three) == [202]
    assert github.deliver() == [202]
    assert github.deliver(three) == [202]
    guids = [receiver.next()[0]["x-github-delivery"] for _ in range(3)]
    assert guids == [three.guid, two.guid, three.guid]
    assert github.pending == []
    assert len({sent.id for sent in github.deliveries}) == len(github.deliveries) == 4


def test_the_log_and_redelivery(github, receiver, http):
    hook = github.add_hook("acme/web", receiver.url, secret=SECRET)
    github.deliver()
    receiver.status = 500
    github.push("acme/web", "main")
    assert github.deliver() == [500]
    failed, ping = http.get(f"{WEB}/hooks/{hook}/deliveries").json()
    assert (ping["event"], ping["status"], ping["status_code"]) == ("ping", "OK", 202)
    assert (failed["event"], failed["status_code"], failed["redelivery"]) == ("push", 500, False)
    assert http.get(f"{WEB}/hooks/{hook}").json()["last_response"]["code"] == 500
    whole = http.get(f"{WEB}/hooks/{hook}/deliveries/{failed['id']}").json()
    assert whole["request"]["headers"]["X-GitHub-Delivery"] == failed["guid"]
    assert whole["response"]["payload"] == "stored"
    receiver.status = 202
    again = http.post(f"{WEB}/hooks/{hook}/deliveries/{failed['id']}/attempts")
    assert (again.status_code, again.json()) == (202, {})
    assert github.deliver() == [202]
    newest = http.get(f"{WEB}/hooks/{hook}/deliveries").json()[0]
    assert (newest["guid"], newest["redelivery"]) == (failed["guid"], True)
    assert newest["id"] != failed["id"]
    bodies = [receiver.next()[1] for _ in range(3)]
    assert bodies[1] == bodies[2]


def test_the_log_is_paged_by_cursor(github, receiver, http):
    hook = github.add_hook("acme/web", receiver.url, secret=SECRET)
    for _ in range(4):
        github.push("acme/web", "main")
    github.deliver()
    seen, url = [], f"{WEB}/hooks/{hook}/deliveries?per_page=2"
    while url:
        answer = http.get(url)
        seen.append(len(answer.json()))
        url = answer.links.get("next", {}).get("url")
    assert seen == [2, 2, 1]


def test_hooks_are_listed_without_their_secret_and_can_be_pinged(github, receiver, http):
    hook = github.add_hook("acme/web", receiver.url, secret=SECRET, events=("push",))
    [shown] = http.get(f"{WEB}/hooks").json()
    assert (shown["id"], shown["events"]) == (hook, ["push"])
    assert shown["config"]["url"] == receiver.url
    assert SECRET not in json.dumps(shown)
    assert http.post(f"{WEB}/hooks/{hook}/pings").status_code == 204
    assert events(github) == ["ping", "ping"]
    assert http.get(f"{WEB}/hooks/1").status_code == 404


def test_the_webhook_of_an_organization(github, receiver, http):
    assert http.get("/orgs/acme/hooks").status_code == 403
    github.token_permissions["organization_hooks"] = "write"
    assert http.get("/orgs/acme/hooks").json() == []
    number = github.add_organization_hook("Acme", receiver.url, secret=SECRET, events=("deployment",))
    assert github.deliver() == [202]
    headers, body = receiver.next()
    assert headers["x-github-event"] == "ping"
    assert headers["x-github-hook-installation-target-type"] == "organization"
    assert "repository" not in json.loads(body)
    github.create_deployment("acme/web", "main")
    github.push("acme/web", "main", "Not asked for")
    assert [one.event for one in github.pending] == ["deployment"]
    receiver.status = 500
    assert github.deliver() == [500]
    (hook,) = http.get("/orgs/acme/hooks").json()
    assert (hook["id"], hook["type"], hook["events"]) == (number, "Organization", ["deployment"])
    place = f"/orgs/acme/hooks/{number}/deliveries"
    newest, first = http.get(place).json()
    assert (newest["event"], newest["status_code"], first["event"]) == ("deployment", 500, "ping")
    assert http.post(f"{place}/{newest['id']}/attempts").status_code == 202
    assert [one.guid for one in github.pending] == [newest["guid"]]
    assert http.post(f"{place}/0/attempts").status_code == 404
    assert http.get("/orgs/acme/hooks/1/deliveries").status_code == 404


def test_nobody_listens(github):
    with Served(Starlette()) as gone:
        url = gone.url
    github.add_hook("acme/web", url, secret=SECRET)
    assert github.deliver() == [502]
    assert github.deliveries[0].status == "failed to connect to host"


def test_delivering_in_the_background(github, receiver):
    stop = github.deliver_in_background()
    github.add_hook("acme/web", receiver.url, secret=SECRET)
    assert receiver.next()[0]["x-github-event"] == "ping"
    github.push("acme/web", "main")
    assert receiver.next()[0]["x-github-event"] == "push"
    stop()
    github.push("acme/web", "main")
    assert events(github) == ["push"]
