"""Custom deployment protection rules: what is told to a run of GitHub Actions that waits for this App.

https://docs.github.com/en/rest/actions/workflow-runs#review-custom-deployment-protection-rules-for-a-workflow-run
"""

from __future__ import annotations

from bot.deploys.errors import RepositoryMoved
from bot.github.asking import told
from bot.github.gates import Gates

LONGEST = 1024  # characters of a comment


class Protection(Gates):
    """The part of the port that answers GitHub's own gates. GitHub takes these answers of an App alone."""

    def report_protection(self, repository: str, run: int, environment: str, comment: str) -> None:
        self._review(repository, run, {"environment_name": environment, "comment": _cut(comment)})

    def answer_protection(self, repository: str, run: int, environment: str, state: str, comment: str) -> None:
        self._review(repository, run, {"environment_name": environment, "state": state, "comment": _cut(comment)})

    def protection_answer(self, repository: str, run: int, environment: str, mark: str) -> str:
        with self._asking(repository, "Actions: read") as found:
            for given in told(found, f"actions/runs/{run}/approvals"):
                places = {place.get("name") for place in given.get("environments") or ()}
                state = str(given.get("state") or "")
                if environment in places and mark in (given.get("comment") or "") and state in ("approved", "rejected"):
                    return state
        return ""

    def _review(self, repository: str, run: int, body: dict[str, str]) -> None:
        with self._asking(repository, "Deployments: write", writing=True) as found:
            url = f"{found.url}/actions/runs/{run}/deployment_protection_rule"
            _, answer = found.requester.requestJsonAndCheck("POST", url, input=body)
            if answer:
                raise RepositoryMoved(repository)  # PyGithub takes a 307 for an answer


def _cut(comment: str) -> str:
    return comment if len(comment) <= LONGEST else comment[: LONGEST - 1] + "…"
