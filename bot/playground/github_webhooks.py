"""Webhooks of the simulated GitHub: which events are queued, and how they are signed and sent.

Headers and retries as in https://docs.github.com/webhooks/webhook-events-and-payloads: 10 seconds to answer,
no retry by itself, redelivery under the same GUID.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from time import monotonic
from typing import Any
from urllib.parse import urlencode, urlsplit

from bot.playground.github_bodies import node_id
from bot.playground.github_state import Hook, Json, Person, Repository
from bot.playground.github_world import INSTALLATION_ID, World

ANSWER_WITHIN = 10.0  # seconds that GitHub waits for a receiver
NOT_CONNECTED, TIMED_OUT = 502, 504  # what GitHub's delivery log shows when there was no answer


@dataclass(frozen=True)
class Delivery:
    """One attempt to hand one event to one hook. `headers` and `body` are exactly what goes over the wire.

    All attempts for an event share the `guid`. The fields from `delivered_at` on are set once it was sent;
    `duration` is in seconds.
    """

    id: int
    guid: str
    hook_id: int
    repository_id: int | None
    target_url: str
    event: str
    action: str | None
    payload: Json = field(repr=False)
    headers: dict[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    redelivery: bool = False
    delivered_at: datetime | None = None
    duration: float = 0.0
    status_code: int | None = None
    status: str = ""
    response_headers: dict[str, str] = field(default_factory=dict, repr=False)
    response_body: str = field(default="", repr=False)


class Webhooks(World):
    """Queues an event for every hook that wants it; sends only when told to."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.pending: list[Delivery] = []
        self.deliveries: list[Delivery] = []
        self.app_hook: Hook | None = None
        self.organization_hooks: dict[str, dict[int, Hook]] = {}  # by the organization's login in lower case
        self._arrived = threading.Condition(self.lock)

    def add_hook(
        self,
        full_name: str,
        target_url: str,
        *,
        secret: str,
        events: tuple[str, ...] = ("*",),
        content_type: str = "json",
        of_app: bool = False,
    ) -> int:
        """Adds a webhook and queues its `ping`. `content_type` is `json` or `form`. Returns the hook's id.

        `of_app`: it stands for that of the GitHub App, as far as this repository goes.
        """
        if content_type not in ("json", "form"):
            raise ValueError(f"content_type is json or form, not {content_type}")
        with self.change():
            repo = self.repository(full_name)
            hook = Hook(self.next_id("hook"), target_url, secret, tuple(events), content_type, True, self.now())
            hook.of_app = of_app
            repo.hooks[hook.id] = hook
            self.ping(repo, hook)
            return hook.id

    def set_app_hook(self, target_url: str, *, secret: str, events: tuple[str, ...] = ("*",)) -> None:
        """Gives the GitHub App its webhook, which is told of every repository."""
        with self.change():
            self.app_hook = Hook(self.next_id("hook"), target_url, secret, tuple(events), "json", True, self.now())

    def add_organization_hook(
        self, login: str, target_url: str, *, secret: str, events: tuple[str, ...] = ("*",)
    ) -> int:
        """Gives an organization a webhook, which is told of all its repositories, and queues its `ping`. Returns its
        id."""
        with self.change():
            organization = self.person(login, kind="Organization")
            hook = Hook(self.next_id("hook"), target_url, secret, tuple(events), "json", True, self.now())
            self.organization_hooks.setdefault(login.lower(), {})[hook.id] = hook
            payload = {
                "zen": "Ship small, ship often.",
                "hook_id": hook.id,
                "hook": self.records.organization_hook(organization, hook),
                "organization": self._organization(organization),
                "sender": self.records.user(organization),
            }
            self._queue(None, hook, "ping", payload, organization=organization)
            return hook.id

    def ping(self, repo: Repository, hook: Hook) -> None:
        payload = {
            "zen": "Ship small, ship often.",
            "hook_id": hook.id,
            "hook": self.records.hook(repo, hook),
            **self._common(repo, repo.owner),
        }
        payload.pop("installation", None)  # the one event that never names it
        self._queue(repo, hook, "ping", payload)

    def emit(self, repo: Repository, event: str, sender: Person, payload: Json) -> None:
        """Queues an event for each hook that wants it; `payload` is completed by what every event carries."""
        with self.lock:
            whole = {**payload, **self._common(repo, sender)}
            if event == "push":
                whole["repository"] = self._push_repository(repo)
            for hook in (*repo.hooks.values(), *([self.app_hook] if self.app_hook is not None else [])):
                if hook.wants(event):
                    self._queue(repo, hook, event, whole)
            for hook in self.organization_hooks.get(repo.owner.login.lower(), {}).values():
                if hook.wants(event):
                    self._queue(repo, hook, event, whole, organization=repo.owner)

    def redeliver(self, delivery: Delivery) -> Delivery:
        """Queues another attempt under the same GUID."""
        with self.change():
            again = replace(
                delivery,
                id=self.next_id("delivery"),
                redelivery=True,
                delivered_at=None,
                duration=0.0,
                status_code=None,
                status="",
                response_headers={},
                response_body="",
            )
            self.pending.append(again)
            self._arrived.notify_all()
            return again

    def deliver(self, delivery: Delivery | None = None) -> list[int]:
        """Sends one delivery (pending or already sent), or all pending ones in order.

        Returns the statuses of the answers: 502 where nobody listens, 504 after 10 seconds without an
        answer. Every attempt is appended to `deliveries`.
        """
        with self.lock:
            wanted = list(self.pending) if delivery is None else [delivery]
            taken = {one.id for one in wanted}
            self.pending[:] = [one for one in self.pending if one.id not in taken]
        return [self._send(one) for one in wanted]

    def deliver_in_background(self) -> Callable[[], None]:
        """Starts a thread that sends deliveries as they come. Returns what stops it (and waits for it)."""
        stopped = threading.Event()

        def work() -> None:
            while True:
                with self._arrived:
                    self._arrived.wait_for(lambda: self.pending or stopped.is_set())
                    if stopped.is_set():
                        return
                    delivery = self.pending.pop(0)
                self._send(delivery)

        thread = threading.Thread(target=work, name="github-webhooks", daemon=True)
        thread.start()

        def stop() -> None:
            stopped.set()
            with self._arrived:
                self._arrived.notify_all()
            thread.join()

        return stop

    # Payloads

    def _common(self, repo: Repository, sender: Person) -> Json:
        common: Json = {"repository": self.records.repository(repo), "sender": self.records.user(sender)}
        if repo.owner.kind == "Organization":
            common["organization"] = self._organization(repo.owner)
        if self.app_id is not None:
            common["installation"] = {
                "id": INSTALLATION_ID,
                "node_id": node_id("IntegrationInstallation", INSTALLATION_ID),
            }
        return common

    def _organization(self, organization: Person) -> Json:
        url = f"{self.records.api}/orgs/{organization.login}"
        return {
            "login": organization.login,
            "id": organization.id,
            "node_id": node_id("Organization", organization.id),
            "url": url,
            "repos_url": f"{url}/repos",
            "events_url": f"{url}/events",
            "hooks_url": f"{url}/hooks",
            "issues_url": f"{url}/issues",
            "members_url": f"{url}/members{{/member}}",
            "public_members_url": f"{url}/public_members{{/member}}",
            "avatar_url": f"{self.url}/avatars/u/{organization.id}",
            "description": None,
        }

    def _push_repository(self, repo: Repository) -> Json:
        """`push` alone writes a repository with times as seconds since 1970 and its owner's name."""
        body = self.records.repository(repo)
        return {
            **body,
            "owner": {**body["owner"], "name": repo.owner.login, "email": None},
            "url": body["html_url"],
            "created_at": int(repo.created_at.timestamp()),
            "pushed_at": int(repo.pushed_at.timestamp()),
            "stargazers": 0,
            "master_branch": repo.default_branch,
        }

    # Sending

    def _queue(
        self,
        repo: Repository | None,
        hook: Hook,
        event: str,
        payload: Json,
        *,
        organization: Person | None = None,
    ) -> None:
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
        form = hook.content_type == "form"
        body = (urlencode({"payload": text}) if form else text).encode()
        guid = str(uuid.uuid4())
        if hook.of_app or hook is self.app_hook:
            kind, whose = "integration", self.app_id
        elif organization is not None:
            kind, whose = "organization", organization.id
        else:
            assert repo is not None
            kind, whose = "repository", repo.id
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/x-www-form-urlencoded" if form else "application/json",
            "User-Agent": f"GitHub-Hookshot/{hashlib.sha256(self.url.encode()).hexdigest()[:7]}",
            "X-GitHub-Delivery": guid,
            "X-GitHub-Event": event,
            "X-GitHub-Hook-ID": str(hook.id),
            "X-GitHub-Hook-Installation-Target-ID": str(whose),
            "X-GitHub-Hook-Installation-Target-Type": kind,
        }
        if hook.secret:
            for name, method in (("X-Hub-Signature", "sha1"), ("X-Hub-Signature-256", "sha256")):
                headers[name] = f"{method}={hmac.new(hook.secret.encode(), body, method).hexdigest()}"
        self.pending.append(
            Delivery(
                id=self.next_id("delivery"),
                guid=guid,
                hook_id=hook.id,
                repository_id=repo.id if repo is not None else None,
                target_url=hook.target_url,
                event=event,
                action=payload.get("action"),
                payload=json.loads(text),
                headers=headers,
                body=body,
            )
        )
        self._arrived.notify_all()

    def _send(self, delivery: Delivery) -> int:
        started = monotonic()
        code, status, headers, text = _post(delivery)
        with self.change():
            sent_before = any(one.id == delivery.id for one in self.deliveries)
            self.deliveries.append(
                replace(
                    delivery,
                    id=self.next_id("delivery") if sent_before else delivery.id,
                    delivered_at=self.now(),
                    duration=round(monotonic() - started, 2),
                    status_code=code,
                    status=status,
                    response_headers=headers,
                    response_body=text,
                )
            )
            hooks = [repo.hooks for repo in self.repositories.values()] + [*self.organization_hooks.values()]
            for hook in (found[delivery.hook_id] for found in hooks if delivery.hook_id in found):
                message = None if status == "OK" else status
                hook.last_response = (code, "active" if status == "OK" else "failed", message)
        return code


def _post(delivery: Delivery) -> tuple[int, str, dict[str, str], str]:
    """Sends the bytes; no redirect is followed, as at GitHub."""
    target = urlsplit(delivery.target_url)
    connect = http.client.HTTPSConnection if target.scheme == "https" else http.client.HTTPConnection
    connection = connect(target.hostname or "", target.port, timeout=ANSWER_WITHIN)
    try:
        path = (target.path or "/") + (f"?{target.query}" if target.query else "")
        connection.request("POST", path, body=delivery.body, headers=delivery.headers)
        answer = connection.getresponse()
        text = answer.read().decode("utf-8", "replace")
    except TimeoutError:
        return TIMED_OUT, "timed out", {}, ""
    except (OSError, http.client.HTTPException):
        return NOT_CONNECTED, "failed to connect to host", {}, ""
    finally:
        connection.close()
    status = "OK" if 200 <= answer.status < 300 else f"Invalid HTTP Response: {answer.status}"
    return answer.status, status, dict(answer.getheaders()), text
