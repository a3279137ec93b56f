"""The provider `actions`: runs a workflow of GitHub Actions, or watches those that run `on: deployment`, and tells
how they go, job by job.

https://docs.github.com/en/rest/actions/workflows#create-a-workflow-dispatch-event
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from bot.deploys.errors import NotAllowedByGitHub, NotFoundAtGitHub, RequestRefused, UnknownRef
from bot.providers import following
from bot.providers.base import (
    Fault,
    Outcome,
    PersonError,
    ProviderConfig,
    Reporter,
    Stopped,
    Trial,
    TryLater,
    Variable,
    Work,
)

FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._ -]{0,250}\.ya?ml|[1-9][0-9]{0,15}")
PLACEHOLDER = re.compile(r"\{(\w+)\}")
KNOWN = ("sha", "environment", "ref", "task", "number", "deployment_id", "app", "hosts", "user")
MARK = "shipbot"  # an input that a workflow may declare, to be told apart by
NAMES_MARK = re.compile(r"\$\{\{[^}]*\binputs\.shipbot\b[^}]*\}\}")
MOST_INPUTS = 25  # GitHub's limit
LARGEST_FILE = 65_536  # characters of a workflow that is read
DEEPEST = 20  # of one thing in another in it
APPEARS = 60.0  # seconds in which a run that GitHub took on must be there
LOST = 20.0  # the same for one that it may have taken on: after that it is asked again
POLL = 3.0  # seconds between looks for it
NO_REF = "shipbot..check"  # a workflow can be asked for at it and never run: git allows no such name


def _input(value: Any) -> str:
    if not isinstance(value, str | bool | int | float):
        raise ValueError("must be a text, a number, true or false")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    for name in PLACEHOLDER.findall(text):
        if name not in KNOWN:
            known = ", ".join(f"{{{one}}}" for one in KNOWN)
            raise ValueError(f"there is no {{{name}}}; there are {known}")
    return text


Input = Annotated[str, BeforeValidator(_input), Field(max_length=10_000)]


def _file(value: str) -> str:
    if not FILE.fullmatch(value):
        raise ValueError("must be the name of a file in .github/workflows, such as deploy.yml, without the folder")
    return value


class Settings(ProviderConfig):
    """The keys of `provider: {type: actions, …}`."""

    type: Literal["actions"]
    workflow: Annotated[str, AfterValidator(_file)] | None = Field(
        None, description="the file of the workflow that is run; none: those that run `on: deployment` are watched"
    )
    inputs: dict[str, Input] = Field(
        default_factory=dict, max_length=MOST_INPUTS, description="what it is given; {sha} and others are filled in"
    )

    @model_validator(mode="after")
    def _inputs_are_for_a_workflow(self) -> Settings:
        if self.inputs and self.workflow is None:
            raise ValueError("inputs are for a workflow that is run: name it under `workflow`")
        return self


class Actions:
    """See the README's “Run a workflow”.

    What it remembers: what a run is known by (`newest`, `mark`, `shown`) before it asks for one, and then its number
    (`run`).
    """

    name = "actions"
    config = Settings

    def variables(self, config: Settings) -> Sequence[Variable]:
        return []

    def may_run_again(self, config: Settings, remembered: Mapping[str, Any]) -> bool:
        return True  # a run that is there is found again, and no second one made

    def run(self, config: Settings, work: Work, reporter: Reporter) -> Outcome:
        if config.workflow is None:
            return following.deployment(work, reporter)
        number = work.remembered.get("run")
        if number is None:
            number = _Dispatch(config, work, reporter).run()
        return following.run(work, reporter, number)

    def wind_up(self, config: Settings, work: Work, reporter: Reporter) -> None:
        number = work.remembered.get("run")
        if number is None and "newest" in work.remembered:
            number = _Dispatch(config, work, reporter).made()
        if number is not None:
            work.github.ask("POST", f"actions/runs/{number}/cancel")
            reporter.write(f"Run {number} is cancelled\n")

    def prove(self, config: Settings, trial: Trial) -> str:
        """Asks for a run at a ref that can't be, which shows whether it is allowed."""
        if config.workflow is None:
            try:
                trial.github.ask("GET", "actions/runs?event=deployment&per_page=1")
            except NotAllowedByGitHub:
                raise Fault(f"GitHub shows me no runs in {trial.repository}: that needs Actions: read") from None
            return "runs can be watched"
        try:
            trial.github.ask("POST", f"{_path(config.workflow)}/dispatches", {"ref": NO_REF})
        except NotFoundAtGitHub:
            raise _no_workflow(config.workflow, trial.repository) from None
        except NotAllowedByGitHub:
            raise _not_allowed(trial.repository) from None
        except (UnknownRef, RequestRefused) as refused:
            if isinstance(refused, RequestRefused) and refused.status != 422:
                raise
        return f"{config.workflow} can be run"


PROVIDER = Actions()


class _Dispatch:
    """Makes one run of a workflow, or finds the one that an earlier attempt has made."""

    def __init__(self, config: Settings, work: Work, reporter: Reporter) -> None:
        assert config.workflow is not None
        self._file = config.workflow
        self._config = config
        self._work = work
        self._reporter = reporter
        self._path = _path(config.workflow)

    def run(self) -> int:
        """The run's number, which is remembered. Raises Fault where it can't be run."""
        work = self._work
        known = work.remembered
        try:
            if "newest" in known:  # an earlier attempt was about to ask, and may have
                found = self._look_for(known, LOST)
            else:
                known = {"newest": self._newest(), **self._marking()}
                self._reporter.remember(known)
                found = None
            if found is None:
                found = self._ask(known) or self._look_for(known, APPEARS)
        except NotFoundAtGitHub:
            raise _no_workflow(self._file, work.repository) from None
        except NotAllowedByGitHub:
            raise _not_allowed(work.repository) from None
        if found is None:
            raise Fault(f"GitHub took {self._file} on, but no run of it appeared within {APPEARS:.0f} s")
        self._reporter.remember({**known, "run": found})
        return found

    def _newest(self) -> int:
        """The newest run there is of the workflow: ours has a greater number."""
        runs = self._runs("per_page=1")
        return max((int(run["id"]) for run in runs), default=0)

    def _ask(self, known: Mapping[str, Any]) -> int | None:
        """Asks GitHub to run it; the run's number where GitHub tells it."""
        work = self._work
        ref, inputs = self._ref(), self._inputs(known)
        self._reporter.in_progress(f"Starting {self._file}")
        self._reporter.write(f"Running {self._file} at {ref} ({work.sha[:7]})\n")
        body: dict[str, Any] = {"ref": ref, "inputs": inputs, "return_run_details": True}
        try:
            try:
                made = work.github.ask("POST", f"{self._path}/dispatches", body)
            except RequestRefused as refused:
                if "return_run_details" not in refused.message:
                    raise
                del body["return_run_details"]  # a server that does not know it yet, or any more
                made = work.github.ask("POST", f"{self._path}/dispatches", body)
        except RequestRefused as refused:
            words = " ".join(refused.message.removeprefix("Invalid request.").split())
            raise Fault(f"GitHub won't run {self._file} at {ref}: {words}") from None
        return int(made["workflow_run_id"]) if isinstance(made, dict) and "workflow_run_id" in made else None

    def _ref(self) -> str:
        """The branch or tag to run it at. Raises Fault when there is none whose head is the commit."""
        work = self._work
        name = re.sub(r"^refs/(heads|tags)/", "", work.ref)
        heads: list[str] = []
        for kind in ("heads", "tags"):
            try:
                found = work.github.ask("GET", f"commits/{kind}/{quote(name)}?per_page=1")
            except (UnknownRef, NotFoundAtGitHub):
                continue
            if found["sha"] == work.sha:  # of a branch and a tag of one name GitHub would take the branch
                return f"refs/{kind}/{name}" if heads else name
            heads.append(str(found["sha"])[:7])
        if heads:
            raise Fault(
                f"{name} is at {heads[0]} now, not at {work.sha[:7]}, and GitHub runs a workflow only at the head of a "
                "branch or tag"
            )
        raise Fault(f"{name} is no branch or tag, and GitHub runs a workflow only at the head of one")

    def _inputs(self, known: Mapping[str, Any]) -> dict[str, str]:
        work = self._work
        values = {name: str(getattr(work, name)) for name in KNOWN}
        filled = {
            key: PLACEHOLDER.sub(lambda found: values[found[1]], text) for key, text in self._config.inputs.items()
        }
        return {MARK: str(known["mark"]), **filled} if known["mark"] else filled

    def _marking(self) -> dict[str, Any]:
        """The `mark` to give the workflow, where it declares an input `shipbot`, else ''; and whether its runs have it
        in their names (`shown`)."""
        file = self._workflow()
        on = file.get("on") or file.get(True)  # YAML takes `on` for a yes
        dispatch = on.get("workflow_dispatch") if isinstance(on, dict) else None
        inputs = dispatch.get("inputs") if isinstance(dispatch, dict) else None
        if not isinstance(inputs, dict) or MARK not in inputs or MARK in self._config.inputs:
            return {"mark": "", "shown": False}
        shown = NAMES_MARK.search(str(file.get("run-name") or "")) is not None
        return {"mark": f"shipbot-{self._work.deployment_id}", "shown": shown}

    def _workflow(self) -> dict[Any, Any]:
        """What its file says; nothing where that can't be read, or not safely: GitHub will say what is wrong."""
        try:
            path = self._work.github.ask("GET", self._path)["path"]
            text = following.text_of(self._work.github.ask("GET", f"contents/{quote(path)}?ref={self._work.sha}"))
            read = yaml.safe_load(text) if _is_plain(text) else None
        except (PersonError, yaml.YAMLError, ValueError, KeyError, TypeError, RecursionError):
            return {}
        return read if isinstance(read, dict) else {}

    def _look_for(self, known: Mapping[str, Any], seconds: float) -> int | None:
        """The run that was made though GitHub did not tell its number; None when none appears in that time.

        Raises Fault when it can't be told from others.
        """
        until = time.monotonic() + seconds
        self._reporter.in_progress(f"Looking for the run of {self._file}")
        while True:
            mine = self._candidates(known)
            if len(mine) == 1:
                return int(mine[0]["id"])
            if len(mine) > 1:
                raise Fault(
                    f"Somebody else ran {self._file} at that commit, too: which run is ours can't be told. Give it an "
                    f"input `{MARK}` and name it in run-name"
                )
            if time.monotonic() >= until:
                return None
            try:
                self._reporter.wait(POLL)
            except Stopped as stopped:
                if stopped.for_good:
                    self._cancel(known)
                raise

    def _candidates(self, known: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The runs that may be ours. A mark is ours alone, at whichever commit the run is."""
        runs = self._runs("event=workflow_dispatch&per_page=100")
        newer = [run for run in runs if int(run["id"]) > int(known["newest"])]
        if known["shown"]:
            mark = re.compile(rf"(?<![\w-]){re.escape(str(known['mark']))}(?![\w-])")
            return [run for run in newer if mark.search(str(run.get("display_title") or ""))]
        return [run for run in newer if run["head_sha"] == self._work.sha]

    def made(self) -> int | None:
        """The run that an earlier attempt has made, where it is there and can be told."""
        mine = self._candidates(self._work.remembered)
        return int(mine[0]["id"]) if len(mine) == 1 else None

    def _cancel(self, known: Mapping[str, Any]) -> None:
        """The work ends before the run is known: one that is there by now is not left to itself."""
        try:
            mine = self._candidates(known)
        except (PersonError, TryLater):
            return
        if len(mine) == 1:
            following.cancel(self._work, self._reporter, [int(mine[0]["id"])])

    def _runs(self, query: str) -> list[dict[str, Any]]:
        return list(self._work.github.ask("GET", f"{self._path}/runs?{query}")["workflow_runs"])


def _path(file: str) -> str:
    return f"actions/workflows/{quote(file, safe='')}"


def _no_workflow(file: str, repository: str) -> Fault:
    return Fault(f"GitHub has no workflow {file} on the default branch of {repository}, or shows none")


def _not_allowed(repository: str) -> Fault:
    return Fault(f"GitHub lets me run no workflows in {repository}: that needs Actions: write")


def _is_plain(text: str) -> bool:
    """Whether YAML is read in no time: whoever may write to the repository wrote it."""
    if len(text) > LARGEST_FILE:
        return False
    depth = 0
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEEPEST or isinstance(event, yaml.AliasEvent):  # a few of these stand for more than memory holds
            return False
    return True
