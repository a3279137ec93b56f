"""The source of a commit as a gzipped tarball: the API redirects to a link that needs no token for five minutes.

https://docs.github.com/en/rest/repos/contents#download-a-repository-archive-tar
"""

from __future__ import annotations

import io
import secrets
import tarfile
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from bot.playground.github_reading import repository_routes
from bot.playground.github_rest import Answer, Call
from bot.playground.github_world import Refused

if TYPE_CHECKING:
    from bot.playground.github import SimulatedGitHub

GOOD_FOR = timedelta(minutes=5)
PLACE = "_codeload"  # an Enterprise Server has it at its own address, github.com at codeload.github.com

get = repository_routes.add


@get("GET", "/tarball/{ref*}", "contents=read", "repos/contents#download-a-repository-archive-tar")
def tarball(call: Call) -> Answer:
    sha = call.repo.resolve(call.args[0])
    if sha is None:
        raise Refused(404, "Not Found")
    token = secrets.token_hex(16)
    call.github.archives[token] = (call.repo.full_name, sha, call.github.now() + GOOD_FOR)
    link = f"{call.github.url}/{PLACE}/{call.repo.full_name}/legacy.tar.gz/{sha}?{urlencode({'token': token})}"
    return Answer(302, None, {"Location": link})


def archive(github: SimulatedGitHub, path: str, token: str) -> bytes | None:
    """The tarball at a path of the site; None where there is none, or none for that token any more."""
    place, *parts = path.strip("/").split("/")
    full_name, sha, until = github.archives.get(token, ("", "", github.now()))
    if place != PLACE or parts != [*full_name.split("/"), "legacy.tar.gz", sha] or github.now() >= until:
        return None
    files = github.repository(full_name).commits[sha].files
    folder = f"{full_name.replace('/', '-')}-{sha[:7]}"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
