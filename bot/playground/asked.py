"""What the playground's page may ask, and how anything else is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from bot.playground.github import Refused
from bot.playground.seed import PEOPLE

LONGEST_BODY = 64 * 1024  # bytes of a request of the page

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=4000)]
# Stricter than git, which would also take names that no command could say.
Branch = Annotated[str, StringConstraints(pattern=r"^[\w.@#+=,-]+(/[\w.@#+=,-]+)*$", max_length=200)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Say(Body):
    """A person types a line into a room, or into the thread below `thread_ts`."""

    user: Name
    room: Name
    text: Line
    thread_ts: Name | None = None


class Click(Body):
    """A person presses a button of a message, or chooses `value` in one of its menus."""

    user: Name
    room: Name
    ts: Name
    action_id: Name
    value: str | None = None


class Option(Body):
    """An option of a menu that asks the bot what it offers."""

    text: Annotated[str, StringConstraints(min_length=1, max_length=75)]
    value: Annotated[str, StringConstraints(min_length=1, max_length=150)]

    def json_of(self) -> dict[str, Any]:
        """As Slack writes it."""
        return {"text": {"type": "plain_text", "text": self.text, "emoji": True}, "value": self.value}


Text = Annotated[str, StringConstraints(max_length=3000)]
Texts = Annotated[list[Text], Field(max_length=100)]


class Held(Body):
    """What stands in one input of a view: a text or an option's value, several of them, a found option, or nothing."""

    block_id: Name
    action_id: Name
    value: Text | Texts | Option | None = None


class Submit(Body):
    """A person submits a modal, with what stands in its inputs."""

    user: Name
    view: Name
    values: Annotated[list[Held], Field(max_length=100)] = []


class Close(Body):
    """A person closes a modal."""

    user: Name
    view: Name


class Act(Submit):
    """A person presses a button of a modal or of the home tab, or chooses `value` in one of its menus."""

    block_id: Name
    action_id: Name
    value: Text | Texts | Option | None = None


class Search(Body):
    """A person types into a menu that asks the bot what it offers."""

    user: Name
    view: Name
    action_id: Name
    query: Annotated[str, StringConstraints(max_length=200)] = ""


class OpenHome(Body):
    """A person opens the bot's home tab."""

    user: Name


class Push(Body):
    """Somebody pushes a commit; a branch that does not exist starts at the default branch."""

    repository: Name
    branch: Branch
    message: Name | None = None
    author: Name = PEOPLE[0].login


class Check(Body):
    """A check reports on the head of a branch."""

    repository: Name
    branch: Name
    name: Name
    state: Literal["success", "failure", "pending"]


class Report(Body):
    """The deployer reports on a deployment."""

    repository: Name
    deployment: int
    state: Literal["queued", "in_progress", "success", "failure"]


BodyType = TypeVar("BodyType", bound=Body)


def viewer_of(request: Request) -> str:
    viewer = request.query_params.get("viewer") or PEOPLE[0].id
    known_person(viewer)
    return viewer


def known_person(user: str) -> None:
    if user not in {person.id for person in PEOPLE}:
        raise HTTPException(400, f"There is nobody {user} to speak as.")


async def read(request: Request, kind: type[BodyType]) -> BodyType:
    """The JSON body as `kind`. Anything else is refused with 400.

    Only `application/json` is taken: pages of other sites can't send that without asking first.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise HTTPException(400, "Send JSON, with Content-Type: application/json.")
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LONGEST_BODY:
            raise HTTPException(400, f"The body is longer than {LONGEST_BODY} bytes.")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HTTPException(400, f"{where}: {first['msg']}" if where else str(first["msg"])) from error


Result = TypeVar("Result")


async def do(act: Callable[[], Result]) -> Result:
    """Runs something of the simulators in a thread: it may wait for the bot, which asks this server meanwhile.

    What they do not know is refused with 400.
    """
    try:
        return await run_in_threadpool(act)
    except KeyError as error:
        raise HTTPException(400, f"There is no {error.args[0]} here.") from error
    except (LookupError, ValueError) as error:
        raise HTTPException(400, str(error.args[0]) if error.args else "There is no such thing.") from error
    except Refused as error:
        raise HTTPException(400, str(error)) from error


async def refusal(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return failed(error.detail, status=error.status_code)


def failed(message: str, *, status: int) -> Response:
    return JSONResponse({"error": message}, status_code=status)
