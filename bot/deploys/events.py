"""What GitHub tells, in our words. `bot/github/payloads.py` makes these from webhook bodies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Deployment:
    """GitHub's record of a deployment. `payload` is the object in it ({} where it is text or absent)."""

    repository: str
    id: int
    ref: str
    sha: str
    task: str
    environment: str
    payload: dict[str, Any]
    creator: str
    created_at: datetime
    description: str = ""

    @property
    def our_id(self) -> str:
        """The deploy's own id, where this bot (or someone who copied it) wrote it into the payload."""
        ours = self.payload.get("shipbot")
        value = ours.get("id") if isinstance(ours, dict) else None
        return value if isinstance(value, str) else ""


@dataclass(frozen=True, slots=True)
class Status:
    """One deployment status. `state` may be one that nobody here knows yet."""

    id: int
    state: str
    creator: str
    created_at: datetime
    description: str = ""
    log_url: str = ""
    environment_url: str = ""


@dataclass(frozen=True, slots=True)
class DeploymentCreated:
    """A `deployment` webhook."""

    deployment: Deployment


@dataclass(frozen=True, slots=True)
class StatusReported:
    """A `deployment_status` webhook."""

    deployment: Deployment
    status: Status


@dataclass(frozen=True, slots=True)
class Pinged:
    """A `ping`: GitHub made or tested a hook. `hooked` is the repository or organisation it is for."""

    hooked: str
    zen: str = ""


@dataclass(frozen=True, slots=True)
class ChecksChanged:
    """A `status`, `check_run`, `check_suite` or `workflow_run`: something was reported about a commit.

    What, is read from GitHub, since these come in any order.
    """

    repository: str
    sha: str


Event = DeploymentCreated | StatusReported | Pinged | ChecksChanged
