"""What the playground's `command` provider runs: a make-believe release of the docs, which takes its time and says so.

`release.py SITE PACE`: the address that it publishes to, and how long it takes, as a multiple of about ten seconds.
"""

from __future__ import annotations

import os
import sys
import time

BOLD, FAINT, GREEN, YELLOW, CYAN, PLAIN = ("\x1b[1m", "\x1b[2m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[0m")
PAGES = ("index", "install", "commands", "gates", "providers", "logs", "security", "faq")
STEPS = 20  # of the progress bar
WARM, COLD = (255, 140, 60), (60, 170, 150)


def main(site: str, pace: float) -> None:
    """Prints what a release would. Tells the bot where the site is by the file that SHIPBOT_OUTPUT names."""
    given = os.environ

    def say(text: str = "", seconds: float = 0.0, end: str = "\n") -> None:
        sys.stdout.write(text + end)
        sys.stdout.flush()
        time.sleep(seconds * pace)

    say(f"{BOLD}Releasing {given['SHIPBOT_APP']} to {given['SHIPBOT_ENVIRONMENT']}{PLAIN}")
    say(f"{FAINT}{given['SHIPBOT_REF']} at {given['SHIPBOT_SHA'][:7]}, for {given['SHIPBOT_USER']}{PLAIN}", 0.8)
    say()
    say(f"{CYAN}==>{PLAIN} {BOLD}Building{PLAIN}", 0.4)
    for page in PAGES:
        say(f"    {GREEN}✓{PLAIN} {page}.html {FAINT}{len(page) * 7 + 11} kB{PLAIN}", 0.3)
    say(f"    {YELLOW}warning:{PLAIN} faq.html has no picture of a ship", 0.5)
    say()
    say(f"{CYAN}==>{PLAIN} {BOLD}Uploading{PLAIN}", 0.4)
    for step in range(STEPS + 1):
        bar = "".join(f"\x1b[38;2;{_between(place)}m━" for place in range(step)) + PLAIN
        say(f"\r    {bar}{FAINT}{'━' * (STEPS - step)}{PLAIN} {step * 100 // STEPS:3} %", 0.16, end="")
    say()
    say()
    say(f"{CYAN}==>{PLAIN} {BOLD}Switching over{PLAIN}", 0.6)
    for host in ("edge1", "edge2", "edge3"):
        say(f"    {GREEN}✓{PLAIN} {host} serves the new pages", 0.4)
    with open(given["SHIPBOT_OUTPUT"], "a", encoding="utf-8") as told:
        told.write(f"environment_url={site}\ndescription=Published {len(PAGES)} pages\n")
    say()
    say(f"{GREEN}{BOLD}Published{PLAIN} {len(PAGES)} pages at {site}")


def _between(place: int) -> str:
    """A colour on the way from warm to cold."""
    part = place / (STEPS - 1)
    return ";".join(str(round(a + (b - a) * part)) for a, b in zip(WARM, COLD, strict=True))


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]))
