"""`.ci/audit.py`: what it finds, and what it says where it can't look."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from bot.playground.serving import Served

AUDIT = Path(__file__).parents[2] / ".ci" / "audit.py"
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture
def audit(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Commits files to a repository, then audits it."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / "tests").mkdir()
    for lock in ("requirements.lock", "tests/requirements.lock"):
        (tmp_path / lock).write_text("holey==1.0 \\\n    --hash=sha256:00\nsound[extra]==2.0 ; sys_platform == 'x'\n")

    def run(url: str = NOWHERE, must: str = "", **files: str) -> subprocess.CompletedProcess[str]:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        git(tmp_path, "add", ".")
        git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b", "commit", "--allow-empty", "--quiet", "-m", "x")
        given = {**os.environ, "AUDIT_URL": url, "AUDIT_MUST": must, "no_proxy": "127.0.0.1"}
        return subprocess.run([sys.executable, AUDIT], cwd=tmp_path, env=given, capture_output=True, text=True)

    return run


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_without_network_it_says_so_loudly(audit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    done = audit()
    assert done.returncode == 0
    assert "WARNING: 2 pinned packages were NOT compared" in done.stderr
    assert audit(must="1").returncode == 1


def test_known_holes(audit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    async def answer(request: Request) -> JSONResponse:
        asked = (await request.json())["queries"]
        return JSONResponse(
            {"results": [{"vulns": [{"id": "X-1"}]} if one["package"]["name"] == "holey" else {} for one in asked]}
        )

    with Served(Starlette(routes=[Route("/", answer, methods=["POST"])])) as served:
        done = audit(served.url + "/")
        assert audit(served.url + "/", must="1").returncode == 1
    assert done.returncode == 0
    assert done.stderr.splitlines() == ["AUDIT  holey 1.0: X-1 (https://osv.dev/X-1): `make lock` takes what is newer"]


@pytest.mark.parametrize(
    "secret",
    [
        "ghp_" + "a1B2" * 9,
        "xoxb-" + "1234567890-" * 2 + "aB3" * 8,
        "\n".join(["MIIE" + "x7Q/" * 15] * 9),
        "client_secret = '" + "q8Zr2LmX0vTn5KwYb7Jd9HsPe4" + "'",
    ],
)
def test_secrets_are_found_also_after_they_were_taken_out(
    audit: Callable[..., subprocess.CompletedProcess[str]], secret: str
) -> None:
    assert "AUDIT  kept:" in audit(kept=secret).stderr
    done = audit(kept="gone")
    assert done.returncode == 1
    assert "AUDIT  commit " in done.stderr


def test_what_is_made_up_is_none(audit: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    assert (
        audit(kept='TOKEN = "HRKU-0a1b2c3d-playground"\nSECRET = "secret-of-the-webhooks-of-the-tests"\n').returncode
        == 0
    )
