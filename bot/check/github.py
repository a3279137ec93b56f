"""What the check looks at in GitHub: the token or App, each repository of the config, its webhook."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bot.check.report import Report, at, later
from bot.deploys.config import App, Config
from bot.deploys.config_file import ConfigError
from bot.deploys.errors import (
    LookupFailed,
    NotAllowedByGitHub,
    NotFoundAtGitHub,
    PersonError,
    RepositoryMoved,
    RequestRefused,
    TokenRefused,
    TryLater,
    UnknownRef,
)
from bot.deploys.ports import NewDeployment
from bot.deploys.repository_file import filled_in
from bot.github.client import GitHubClient
from bot.github.hooks import leads_here
from bot.github.payloads import EVENTS, OF_APPS
from bot.github.webhooks import PATH
from bot.settings import Settings

# GitHub sends a ping whatever a hook is for, and those of Apps are for who wants its environment gates here.
NEEDED_EVENTS = EVENTS - OF_APPS - {"ping"}
EVENT_NAMES = {  # as the settings of a webhook list them
    "check_run": "Check runs",
    "check_suite": "Check suites",
    "deployment": "Deployments",
    "deployment_status": "Deployment statuses",
    "pull_request": "Pull requests",
    "push": "Pushes",
    "status": "Statuses",
    "workflow_run": "Workflow runs",
}
APP_EVENT_NAMES = {
    "deployment_protection_rule": "Deployment protection rule",
    "deployment_review": "Deployment review",
}
NO_COMMIT = "0" * 40  # a deployment of it can be asked for and never made, which shows whether it is allowed
NO_DELIVERY = 0  # the same for having a webhook sent once more
ANYBODY = "ghost"  # GitHub's account of nobody in particular: what matters is whether an answer is given
ROLES = ("admin", "maintain", "push", "triage", "pull")


def by_repository(config: Config) -> dict[str, list[App]]:
    """The repositories, each in its first spelling, with the apps in it."""
    spelt: dict[str, str] = {}
    found: dict[str, list[App]] = {}
    for app in config.apps.values():
        name = spelt.setdefault(app.repository.casefold(), app.repository)
        found.setdefault(name, []).append(app)
    return found


def teams_of(apps: list[App]) -> list[str]:
    """The GitHub teams (`organisation/team`) of who may deploy, approve or override, each in its first spelling."""
    teams: dict[str, str] = {}
    for place in (place for app in apps for place in app.environments.values()):
        approvers = place.approvals.approvers if place.approvals else ()
        for who in (*place.deployers, *approvers, *place.override):
            if who.startswith("@"):
                teams.setdefault(who.casefold(), who.removeprefix("@"))
    return list(teams.values())


def look_at_github(
    report: Report, github: GitHubClient, settings: Settings, config: Config, pings: dict[str, datetime]
) -> None:
    """Whether each repository can be seen, deployed and heard of.

    `pings`: when GitHub pinged a webhook, by the repository or organization it named in lower case ('' for an
    App's).
    """
    credentials = "GITHUB_TOKEN" if settings.github_app_id is None else "GITHUB_APP_ID, GITHUB_APP_PRIVATE_KEY"
    for repository, apps in by_repository(config).items():
        with report.part(repository):
            try:
                installation = github.installation(repository)
                _repository(report, github, repository, apps, installation)
                _Webhooks(report, github, repository, settings, pings).look(installation)
                _gates_of_github(report, repository, installation)
            except TokenRefused:
                report.fail(
                    f"{credentials}: GitHub refuses it as wrong, expired or revoked: make a new one, and see that "
                    f"it is of the GitHub at {settings.github_api_url}"
                )
                return  # it is the same for every repository
            except PersonError as error:
                report.fail(f"{repository}: {github_says(error)}")
            except TryLater as error:
                report.fail(f"{repository}: {later(error)}: see that {settings.github_api_url} can be reached")


def _repository(
    report: Report, github: GitHubClient, repository: str, apps: list[App], installation: dict[str, Any] | None
) -> None:
    """Raises what GitHub says to the first thing that can't be done there."""
    permissions = github.access(repository)
    default = github.default_branch(repository)
    head = ""
    for ref in dict.fromkeys(app.default_ref or default for app in apps):
        commit = github.commit(repository, ref)
        head = commit.sha if commit is not None else head
        if commit is None:
            report.fail(f"{repository}: it has no {ref}: push it, or mend default_ref in the config")
    rules = [rule for app in apps for place in app.environments.values() for rule in place.auto_deploy]
    for branch in sorted(
        {rule.branch for rule in rules if rule.branch and not any(mark in rule.branch for mark in "*?[")}
    ):
        if github.branch_head(repository, branch) is None:
            report.warn(
                f"{repository}: it has no branch {branch}, which auto_deploy names: push it, or mend the config"
            )
    _files(report, github, repository, apps, default)
    github.past_deployments(repository, 1)
    try:
        github.create_deployment(_impossible(repository))
    except UnknownRef:
        pass  # it is allowed, and there is no such commit
    except RequestRefused as error:
        if error.status != 422:
            raise
    previews = [app.previews for app in apps if app.previews is not None]
    places = [place for app in apps for place in app.environments.values()] + [each.place for each in previews]
    if head and any(place.required_contexts != () for place in places):
        with contextlib.suppress(LookupFailed):  # then there are too many to read, and it is allowed
            github.checks(repository, head)
    if previews:
        github.pull_request(repository, 1)  # there need not be one: what matters is whether an answer is given
    if previews or any(place.permission for place in places):  # who asks for what comes from a fork must may write
        github.permission(repository, ANYBODY)
    for team in teams_of(apps):
        try:
            github.in_team(repository, team, ANYBODY)
        except LookupFailed as error:
            report.fail(
                f"{repository}: who is in the team @{team} is hidden from me ({error.reason}): mend its name in the "
                f"config, or grant the token or App Members: read of {team.partition('/')[0]} (read:org, if it is a "
                "classic token)"
            )
    if any(place.auto_merge for place in places) and not permissions.get("push"):
        report.warn(f"{repository}: auto_merge is on, and I may not push there: GitHub will refuse to merge")
    if installation is None:
        who = f"as {next((role for role in ROLES if permissions.get(role)), 'a guest')}"
    else:
        granted = sorted((installation.get("permissions") or {}).items())
        who = "by the App with " + ", ".join(f"{name}: {level}" for name, level in granted)
    report.ok(f"{repository}: can be seen and deployed, {who}")


def _gates_of_github(report: Report, repository: str, installation: dict[str, Any] | None) -> None:
    """Whether an App that GitHub asks before a run goes on can do all that this takes. Nobody has to let it ask."""
    told = OF_APPS & set((installation or {}).get("events") or ())
    granted = (installation or {}).get("permissions") or {}
    if "deployment_protection_rule" in told and granted.get("actions") not in ("read", "write"):
        report.fail(
            f"{repository}: the App is subscribed to {APP_EVENT_NAMES['deployment_protection_rule']}, and may not read "
            "what became of an answer: grant it Actions: read there"
        )


def _impossible(repository: str) -> NewDeployment:
    return NewDeployment(
        repository=repository,
        ref=NO_COMMIT,
        task="deploy",
        environment="production",
        auto_merge=False,
        required_contexts=[],
        production_environment=False,
        transient_environment=False,
        description="",
        payload={},
    )


def github_says(error: PersonError) -> str:
    """A refusal of GitHub's, and what to do about it."""
    match error:
        case NotAllowedByGitHub():
            said = f" ({error.message})" if error.message else ""
            mend = f"grant the token or App {error.permission} there"
            if error.permission == "Checks: read":  # https://github.com/orgs/community/discussions/129512
                mend += (
                    " (a fine-grained token can't have it: take an App or a classic token, or required_contexts: [])"
                )
            return f"GitHub does not allow it{said}: {mend}"
        case NotFoundAtGitHub():
            return (
                "GitHub shows me no such repository: mend the name in the config, or give the token or App access "
                f"to it ({error.permission})"
            )
        case RepositoryMoved():
            return f"it is now called {error.new_name or 'something else'}: write that into the config"
        case RequestRefused():
            return f"GitHub refuses (HTTP {error.status}, {error.message}): mend that there, then check again"
    return f"GitHub refuses ({type(error).__name__}): look at it there, then check again"


def _files(report: Report, github: GitHubClient, repository: str, apps: list[App], default: str) -> None:
    """What is wrong with the files that apps point to, each fault once."""
    found: dict[str, None] = {}
    for app in apps:
        if app.config is not None:
            try:
                filled_in(app, github.read_file(repository, app.config, default))
            except ConfigError as error:
                found |= {f"{repository}:{app.config}: {fault}": None for fault in error.faults}
    for fault in found:
        report.fail(f"{fault} (on {default}; until it is mended its last good state holds)")


class _Webhooks:
    """How GitHub tells the bot of one repository."""

    def __init__(
        self,
        report: Report,
        github: GitHubClient,
        repository: str,
        settings: Settings,
        pings: dict[str, datetime],
    ) -> None:
        self._report = report
        self._github = github
        self._repository = repository
        self._owner = repository.partition("/")[0]
        self._here = settings.public_url or ""
        self._wanted = f"{settings.public_url or 'https://…'}{PATH}"
        self._pings = pings

    def look(self, installation: dict[str, Any] | None) -> None:
        """`installation`: of the GitHub App, which may have a webhook for all its repositories."""
        if installation is not None and set(installation.get("events") or ()) >= NEEDED_EVENTS:
            self._of_app()
            return
        sent = NEEDED_EVENTS & set((installation or {}).get("events") or ())
        try:
            hooks = self._github.hooks(self._repository)
        except (NotAllowedByGitHub, NotFoundAtGitHub):
            if sent:
                self._half(sent)
            else:
                self._unlisted()
            return
        ours = [hook for hook in hooks if leads_here(_address(hook), self._here)]
        faults = [_hook_fault(hook) for hook in ours]
        if not ours and sent:
            self._half(sent)
        elif not ours:
            self._none([_address(hook) for hook in hooks])
        elif all(faults):
            self._report.fail(f"{self._repository}: {faults[0]}")
        else:
            self._good(ours[faults.index("")])

    def _good(self, hook: dict[str, Any]) -> None:
        text = f"{self._repository}: the webhook to {_address(hook)} is set up well"
        lost = self._lost(self._repository, hook)
        if lost:
            self._report.warn(f"{text}; {lost}")
        elif _last_response(hook).get("code") is None:
            self._report.warn(f"{text}; nothing was delivered yet")
        else:
            self._report.ok(f"{text}, and its last delivery arrived")

    def _lost(self, whose: str, hook: dict[str, Any]) -> str:
        """What keeps a webhook that was lost from being asked for; '' when nothing does."""
        try:
            self._github.redeliver(whose, int(hook["id"]), NO_DELIVERY)
        except NotAllowedByGitHub:
            return _hidden("ask for one that was lost", whose)
        except (NotFoundAtGitHub, RequestRefused):
            pass
        return ""

    def _of_organization(self, pinged: datetime | None) -> bool:
        """Whether the owner's webhook has to tell of the repository, which is then said."""
        text = f"{self._repository}: has no webhook of its own; that of {self._owner}"
        try:
            hooks = self._github.hooks(self._owner)
        except (NotAllowedByGitHub, NotFoundAtGitHub):
            if pinged is None:
                return False
            self._report.warn(f"{text} pinged me {at(pinged)}; {_hidden('list what was lost of it', self._owner)}")
            return True
        ours = [hook for hook in hooks if leads_here(_address(hook), self._here)]
        if not ours:
            return False
        faults = [_hook_fault(hook) for hook in ours]
        if all(faults):
            self._report.fail(f"{self._owner}: {faults[0]}")
        elif lost := self._lost(self._owner, ours[faults.index("")]):
            self._report.warn(f"{text} is set up well; {lost}")
        elif pinged is None:
            self._report.warn(f"{text} is set up well; it has not pinged me yet")
        else:
            self._report.ok(f"{text} is set up well, and pinged me {at(pinged)}")
        return True

    def _none(self, elsewhere: list[str]) -> None:
        if self._of_organization(self._pings.get(self._owner.casefold())):
            return
        stray = next((url for url in elsewhere if leads_here(url, "")), None)
        self._report.fail(
            f"{self._repository}: {f'its webhook goes to {stray}' if stray else 'no webhook leads to me'}: add one "
            f"under Settings › Webhooks to {self._wanted} with GITHUB_WEBHOOK_SECRET as its secret and the events "
            f"{_named(NEEDED_EVENTS)}"
        )

    def _unlisted(self) -> None:
        hidden = (
            f"{self._repository}: I may not list its webhooks, nor ask for one that was lost (that takes Webhooks: "
            "write, or admin:repo_hook of a classic token)"
        )
        times = [
            self._pings[name.casefold()] for name in (self._repository, self._owner) if name.casefold() in self._pings
        ]
        if times:
            self._report.ok(f"{hidden}, but one pinged me {at(max(times))}")
        else:
            self._report.warn(f"{hidden}, and none has pinged me yet: see at GitHub that one leads to {self._wanted}")

    def _half(self, sent: frozenset[str]) -> None:
        self._report.fail(
            f"{self._repository}: the App is not subscribed to {_named(NEEDED_EVENTS - sent)}: tick them in the App's "
            "settings under Permissions & events (Statuses takes Commit statuses: read, Check runs and Check suites "
            "take Checks: read, Workflow runs take Actions: read, Pull requests take Pull requests: read)"
        )

    def _of_app(self) -> None:
        """An App's settings show its address to nobody but their owner, so what came in has to prove it."""
        pinged = self._pings.get("")
        text = f"{self._repository}: the App is subscribed to all I need, and its webhook"
        if pinged is not None:
            self._report.ok(f"{text} pinged me {at(pinged)}")
        else:
            self._report.warn(
                f"{text} has not pinged me yet: see in the App's settings that it leads to {self._wanted}"
            )


def _hidden(what: str, whose: str) -> str:
    scope = "admin:repo_hook" if "/" in whose else "admin:org_hook"
    return f"I may not {what}: grant the token or App Webhooks: write of {whose} ({scope}, if it is a classic token)"


def _named(events: Iterable[str]) -> str:
    """Events as the settings name them."""
    *names, last = sorted(EVENT_NAMES[event] for event in events)
    return f"{', '.join(names)} and {last}" if names else last


def _address(hook: dict[str, Any]) -> str:
    return str(hook["config"].get("url", ""))


def _last_response(hook: dict[str, Any]) -> dict[str, Any]:
    return hook.get("last_response") or {}


def _hook_fault(hook: dict[str, Any]) -> str:
    """What keeps a webhook that leads here from working; '' when nothing does.

    https://docs.github.com/en/rest/repos/webhooks#get-a-repository-webhook
    """
    url = _address(hook)
    events = set(hook.get("events") or ())
    lacking = frozenset() if "*" in events else NEEDED_EVENTS - events
    code = _last_response(hook).get("code")
    if not hook.get("active"):
        return f"the webhook to {url} is switched off: tick Active under Settings › Webhooks"
    if lacking:
        return f"the webhook to {url} does not send {_named(lacking)}: tick them under Settings › Webhooks"
    if not hook["config"].get("secret"):
        return f"the webhook to {url} has no secret: set it to GITHUB_WEBHOOK_SECRET"
    if code == 401:
        return f"the webhook to {url} is signed with another secret: set it to GITHUB_WEBHOOK_SECRET"
    if code is not None and not 200 <= code < 300:
        said = _last_response(hook).get("message") or "no answer"
        return (
            f"the last delivery to {url} got {code} ({said}): see that I run and that GitHub can reach me, then "
            "redeliver it under Settings › Webhooks › Recent Deliveries"
        )
    return ""
