"""Looks for known holes in what is pinned, and for secrets in the repository. Exit code 1 where it finds a secret.

    AUDIT_URL   where advisories are asked for; api.osv.dev unless set
    AUDIT_MUST  when set, a known hole is a failure too, and so are advisories that can't be reached: without it they
                are told loudly, since an advisory of this morning says nothing of the change that is looked at

It needs git and nothing but Python's own library, so that it runs before anything is installed.
"""

from __future__ import annotations

import json
import math
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

ADVISORIES = "https://api.osv.dev/v1/querybatch"  # https://google.github.io/osv.dev/post-v1-querybatch/
LOCKS = ("requirements.lock", "tests/requirements.lock")
# Advisories that do not concern this program, each with the reason and the day on which to look again.
PASSED_OVER: dict[str, str] = {}

SECRETS = {
    "a token of Slack's": r"\bxox[abeprs]-\d{9,}-[A-Za-z0-9-]{20,}|\bxapp-\d-[A-Z0-9]{9,}-\d{9,}-[0-9a-f]{40,}",
    "an address of Slack's to post to": r"hooks\.slack\.com/(?:services|workflows)/T[A-Z0-9]{8,}/[A-Z0-9]{8,}/\w{20,}",
    "a token of GitHub's": r"\bgh[opsur]_[A-Za-z0-9]{36,}\b|\bgithub_pat_[A-Za-z0-9_]{60,}",
    "a key of AWS's": r"\bAKIA[0-9A-Z]{16}\b",
    "a key of Heroku's": r"\bHRKU-[A-Za-z0-9_-]{40,}",
    "a private key": r"^[+ ]?(?:[A-Za-z0-9+/]{64})$",  # a line of one; counted below
    "something like a secret": r"(?i)(?:secret|token|passw(?:or)?d|api_?key)\w*[\"']?\s*[:=]\s*[\"']"
    r"([A-Za-z0-9+/_=-]{24,})",
}
KEY_LINES = 8  # of a private key one after another; a hash alone is none
RANDOM = 4.0  # bits a character from which on a text is no word
MADE_UP = "playground"  # stands in what the simulated platforms take for a secret


def main() -> int:
    holes = _holes(Path.cwd())
    found = list(_secrets())
    for line in [*holes, *found]:
        print(f"AUDIT  {line}", file=sys.stderr)
    return 1 if found or (holes and os.environ.get("AUDIT_MUST")) else 0


def _holes(root: Path) -> list[str]:
    pinned = sorted({pin for lock in LOCKS for pin in _pins(root / lock)})
    asked = [{"package": {"name": name, "ecosystem": "PyPI"}, "version": version} for name, version in pinned]
    request = urllib.request.Request(
        os.environ.get("AUDIT_URL") or ADVISORIES,
        json.dumps({"queries": asked}).encode(),
        {"content-type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            results = json.load(answer)["results"]
        if len(results) != len(pinned):
            raise ValueError(f"{len(results)} answers to {len(pinned)} questions")
    except (OSError, ValueError, KeyError) as error:
        words = f"{len(pinned)} pinned packages were NOT compared with advisories: {error}"
        if os.environ.get("AUDIT_MUST"):
            return [words]
        print(f"\n{'!' * 100}\nAUDIT  WARNING: {words}\n{'!' * 100}\n", file=sys.stderr)
        return []
    print(f"{len(pinned)} pinned packages were compared with advisories")
    return [
        f"{name} {version}: {hole['id']} (https://osv.dev/{hole['id']}): `make lock` takes what is newer"
        for (name, version), result in zip(pinned, results, strict=True)
        for hole in result.get("vulns", ())
        if hole["id"] not in PASSED_OVER
    ]


def _pins(lock: Path) -> Iterator[tuple[str, str]]:
    for name, version in re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", lock.read_text(), re.MULTILINE):
        yield name.lower(), version


def _secrets() -> Iterator[str]:
    """In the files as they are, and in whatever any commit added; one that was taken out again is out all the same."""
    files = _git("grep", "--cached", "-I", "--full-name", "-n", "-z", "").split("\n")
    yield from _look((where, text) for where, text in map(_of_grep, files))
    if _git("rev-parse", "--is-shallow-repository").strip() == "true":
        print("AUDIT  warning: the history is cut short, and was looked through as far as it goes", file=sys.stderr)
    yield from _look(_added())


def _of_grep(line: str) -> tuple[str, str]:
    name, _, rest = line.partition("\0")
    number, _, text = rest.partition("\0")
    return f"{name}:{number}", text


def _added() -> Iterator[tuple[str, str]]:
    commit = ""
    for line in _git("log", "-p", "--unified=0", "--no-color", "--no-ext-diff", "--format=commit %H").split("\n"):
        if line.startswith("commit "):
            commit = line[7:19]
        elif line.startswith("+") and not line.startswith("+++"):
            yield f"commit {commit}", line[1:]


def _look(lines: Iterator[tuple[str, str]]) -> Iterator[str]:
    patterns = {what: re.compile(pattern) for what, pattern in SECRETS.items()}
    told, run = set(), 0
    for where, text in lines:
        run = run + 1 if patterns["a private key"].match(text.strip()) else 0
        for what, pattern in patterns.items():
            if what == "a private key":
                seen = run == KEY_LINES
            else:
                found = pattern.search(text)
                seen = found is not None and (
                    found.lastindex is None or (_bits(found[1]) >= RANDOM and MADE_UP not in found[1])
                )
            if seen and (what, where) not in told:
                told.add((what, where))
                yield f"{where}: {what}: take it out and make a new one; what was pushed is out"


def _bits(text: str) -> float:
    """Shannon's measure, by character."""
    shares = [text.count(letter) / len(text) for letter in set(text)]
    return -sum(share * math.log2(share) for share in shares)


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, check=True)
    return done.stdout.decode("utf-8", "replace")


if __name__ == "__main__":
    sys.exit(main())
