"""What the gates ask of GitHub: whether a commit is green, what a person may do, who is in a team.

https://docs.github.com/en/rest/commits/statuses, https://docs.github.com/en/rest/checks/runs,
https://docs.github.com/en/rest/collaborators/collaborators, https://docs.github.com/en/rest/teams/members
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from bot.deploys.errors import LookupFailed, NotAllowedByGitHub
from bot.deploys.model import Check
from bot.github.asking import PAGE, Asking, segment, told, told_again, told_again_or_none
from bot.github.objects import Report, parse_check_run, parse_commit_status

ROLES = ("admin", "maintain", "write", "triage", "read")  # an organisation may have further ones of its own
MOST = 2000  # reports of a kind on one commit that are read
PAGES = MOST // PAGE


class Gates(Asking):
    """The part of the port that policy is decided on."""

    def checks(self, repository: str, sha: str) -> list[Check]:
        """Raises LookupFailed for a commit with more than 2000 reports of a kind: which are red is not known then."""
        commit = f"commits/{segment(sha)}"
        with self._asking(repository, "Commit statuses: read") as found:
            raw = _all(partial(told_again, found, f"{commit}/status"), "statuses")
            statuses = [parse_commit_status(one) for one in raw]
        with self._asking(repository, "Checks: read") as found:
            raw = _all(partial(told_again, found, f"{commit}/check-runs", filter="latest"), "check_runs")
            runs = [parse_check_run(one) for one in raw]
        worst: dict[str, Check] = {}
        for check in [*_newest(statuses), *_newest(runs)]:
            known = worst.get(check.name)
            if known is None or _badness(check) > _badness(known):
                worst[check.name] = check
        return [worst[name] for name in sorted(worst)]

    def permission(self, repository: str, login: str) -> str:
        with self._asking(repository, "Metadata: read") as found:
            raw = told_again_or_none(found, f"collaborators/{segment(login)}/permission")
            if raw is None:
                told(found, "")  # a repository that is out of sight says nothing about the person, and raises here
                return "none"
            role = raw.get("role_name")
            return str(role if role in ROLES else raw["permission"])

    def in_team(self, repository: str, team: str, login: str) -> bool:
        """Raises LookupFailed for a team that GitHub does not show."""
        organisation, _, slug = team.lower().partition("/")
        place = f"/orgs/{segment(organisation)}/teams/{segment(slug)}"
        try:
            with self._asking(repository, "Members: read") as found:
                member = told_again_or_none(found, f"{place}/memberships/{segment(login)}")
                if member is not None:
                    return bool(member["state"] == "active")
                if told_again_or_none(found, place) is None:  # GitHub hides a team by the same 404
                    raise LookupFailed(team, "GitHub shows me no such team")
                return False
        except NotAllowedByGitHub as error:
            raise LookupFailed(team, f"GitHub wants of me the permission {error.permission}") from error


def _all(read: Callable[..., Any], key: str) -> list[dict[str, Any]]:
    """Every item of a list that is wrapped in an object, each once.

    What is reported meanwhile may push an item over the edge of a page, so a list that came short is read again.
    """
    items: dict[int, dict[str, Any]] = {}
    for _ in range(2):
        for number in range(1, PAGES + 1):
            page = read(per_page=PAGE, page=number)
            items.update((item["id"], item) for item in page[key])
            if page["total_count"] > MOST:
                raise LookupFailed("the checks", f"more than {MOST}")
            if len(page[key]) < PAGE:
                break
        if len(items) >= page["total_count"]:
            break
    return list(items.values())


def _newest(reports: list[Report]) -> list[Check]:
    """The newest report of each name: of check runs every suite has its own latest."""
    newest: dict[str, Report] = {}
    for report in sorted(reports, key=lambda report: report.id):
        newest[report.check.name] = report
    return [report.check for report in newest.values()]


def _badness(check: Check) -> int:
    """Green, then what was left out, then what may yet go wrong, then what did."""
    return {"success": 0, "neutral": 1, "skipped": 1, "pending": 2}.get(check.state, 3)
