"""The command line: `python -m bot serve | check | demo | jobs | backup | migrate-to`."""

from __future__ import annotations

import argparse
import json
import sys

from bot import __version__

WRONG_USE = 2  # exit code for an environment or config that can't be used


def main(arguments: list[str] | None = None) -> int:
    """Runs one command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bot", description="A ChatOps deployment bot for Slack and GitHub.")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="run the bot; it is told everything by the environment")
    check = commands.add_parser("check", help="prove config, tokens, scopes, webhook and database, one line each")
    check.add_argument("--schema", action="store_true", help="print the JSON Schema of the config file and exit")
    demo = commands.add_parser("demo", help="play with the bot between a simulated Slack and GitHub; needs nothing")
    demo.add_argument("--port", type=int, default=7070, help="where the page is served; a taken one is stepped over")
    demo.add_argument("--tour", action="store_true", help="play two deploys in the terminal and exit")
    _add_upkeep(commands)
    given = parser.parse_args(arguments)
    if given.command == "demo":
        from bot.playground import demo as playground
        from bot.playground import tour

        return tour.run() if given.tour else playground.run(given.port)
    if given.command == "check" and given.schema:
        from bot.deploys.config import Config

        print(json.dumps(Config.model_json_schema(), indent=2))
        return 0
    if given.command not in ("serve", "check"):
        from bot import upkeep

        return upkeep.run(given)
    return _with_settings(given.command)


def _add_upkeep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    jobs = commands.add_parser("jobs", help="look at what died, and try it again")
    actions = jobs.add_subparsers(dest="action", required=True)
    listed = actions.add_parser("list", help="the dead letters, one a line")
    listed.add_argument("--all", action="store_true", help="what waits and what is under way, too")
    actions.add_parser("show", help="one job with what it holds, secrets hidden").add_argument("id", metavar="ID")
    retry = actions.add_parser("retry", help="make a dead letter ready again; a running bot takes it up at once")
    which = retry.add_mutually_exclusive_group(required=True)
    which.add_argument("id", nargs="?", metavar="ID")
    which.add_argument("--all", action="store_true", help="every dead letter")
    backup = commands.add_parser("backup", help="copy a SQLite database to a new file, also while the bot runs")
    backup.add_argument("file", metavar="FILE")
    move = commands.add_parser("migrate-to", help="copy a SQLite database into an empty PostgreSQL")
    move.add_argument("url", metavar="URL", help="postgresql://user@host/name; PGPASSWORD may hold the password")


def _with_settings(command: str) -> int:
    from bot.deploys.config_file import ConfigError, load_config
    from bot.settings import SettingsError, config_path, read_settings, variables

    faults: list[str] = []
    settings = config = None
    path = config_path()
    try:
        settings = read_settings()
    except SettingsError as error:
        faults += str(error).splitlines()
    try:
        config = load_config(path)
    except ConfigError as error:
        faults += [f"{path}: {fault}" for fault in error.faults]
    if config is not None:
        from bot.providers.needed import missing

        faults += [f"{name}: must be set ({where} in {path})" for name, where in missing(config, variables)]
    if command == "check":
        from bot.check import check

        return check(settings, config, faults)
    if settings is None or config is None or faults:
        for fault in faults:
            print(fault, file=sys.stderr)
        print("`python -m bot check` looks at everything else too; the README tells what each is.", file=sys.stderr)
        return WRONG_USE
    from bot.server import serve
    from bot.store.engine import StoreError

    try:
        serve(settings, config)
    except StoreError as error:
        print(f"DATABASE_URL: {error}", file=sys.stderr)
        return WRONG_USE
    return 0


if __name__ == "__main__":
    sys.exit(main())
