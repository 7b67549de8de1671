"""Show the main job, and fail loudly where a step does not do what it says.

Everything is real: HTTP to `oauthsync sandbox` on loopback, SQLite, an age file. The quota
is raised, because 250 creates at Workato's 60 requests a minute would take four minutes.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OAUTHSYNC = str(Path(sys.executable).with_name("oauthsync"))
LOST = 3
PROFILES = 250
MAX_LINES = 14


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="oauthsync-demo-") as name, sandbox() as url:
        folder = Path(name)
        os.environ |= {
            "OAUTHSYNC_DIR": name,
            "OAUTHSYNC_PASSPHRASE": "a passphrase of several random words",
            "XDG_STATE_HOME": str(folder / "state"),
            "DEV_TOKEN": "A",
            "PROD_TOKEN": "B",
        }
        configure(folder, url)
        restore(folder, url)
        migrate()
        leave_no_trace(folder)
    say("Done: every step did what it said.")


def configure(folder: Path, url: str) -> None:
    say("Two workspaces, dev and prod. The configuration says where their tokens are, not what.")
    text = 'default_workspace = "dev"\n' + "".join(
        f'\n[workspaces.{name}]\nurl = "{url}"\ntoken_env = "{name.upper()}_TOKEN"\n'
        "requests_per_minute = 6000\n"
        for name in ("dev", "prod")
    )
    (folder / "oauthsync.toml").write_text(text)
    print(text)


def restore(folder: Path, url: str) -> None:
    say("Take a snapshot of dev. It is read twice, and stored when both readings agree.")
    run("export")
    profiles = ask("show")["profiles"]
    check(len(profiles) == PROFILES, f"the snapshot has {PROFILES} profiles")

    say("The API never returns a client secret, so load them from where you keep them.")
    apps = {(profile["provider"], profile["data"]["client_id"]) for profile in profiles}
    rows = folder / "secrets.csv"
    with rows.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["provider", "client_id", "client_secret"])
        writer.writerows([*app, f"demo-secret-of-{app[1]}"] for app in sorted(apps))
    run("secrets", "load", str(rows))
    rows.unlink()
    check(ask("secrets", "missing")["missing"] == [], "no secret is missing")

    say(f"Somebody deletes {LOST} profiles of dev by accident.")
    for profile in profiles[:LOST]:
        api(url, "DELETE", f"/{profile['id']}")
        print(f"  DELETE /api/custom_oauth_profiles/{profile['id']}  ({profile['name']})")
    loss = ask("diff")
    run("diff")
    check(len(loss["removed"]) == LOST, f"the loss of {LOST} profiles shows")

    say("What would bring them back? A plan writes nothing.")
    run("plan")
    check(ask("plan")["summary"]["create"] == LOST, f"the plan creates {LOST}")

    say("Carry it out: each profile exactly once, journaled, verified at the end.")
    result = ask("import", "--yes")
    check(len(result["created"]) == LOST and result["verified"], f"{LOST} created, and verified")
    run("runs", "show", str(result["run"]))

    say("Compared with the snapshot, nothing is left but new ids.")
    run("diff")
    found = ask("diff")
    check(
        sorted(map(identity, found["added"])) == sorted(map(identity, found["removed"])),
        "what was lost is there again, name for name",
    )


def migrate() -> None:
    say("Now move all of dev into prod, a workspace that is empty.")
    result = ask("import", "--to", "prod", "--yes")
    check(len(result["created"]) == PROFILES and result["verified"], f"{PROFILES} created there")
    print(f"  {len(result['in_use'])} of them were in use, and are to be chosen again in prod.")
    again = ask("import", "--to", "prod", "--yes")
    check(again["created"] == [], "a second import finds nothing to do")


def leave_no_trace(folder: Path) -> None:
    say("Search the backup folder for a secret. Only secrets.age may hold one, encrypted.")
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            check(b"demo-secret-of-" not in path.read_bytes(), f"none in {path.name}")


def say(text: str) -> None:
    print(f"\n\033[1m{text}\033[0m" if sys.stdout.isatty() else f"\n{text}", flush=True)


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"DEMO FAILED: it does not hold that {what}")
    print(f"  ✓ {what}", flush=True)


def run(*arguments: str) -> None:
    """Run a command as a user does, and show the beginning of what it prints."""
    print(f"$ oauthsync {' '.join(arguments)}", flush=True)
    lines = call(*arguments).splitlines()
    print("\n".join(lines[:MAX_LINES]))
    if len(lines) > MAX_LINES:
        print(f"[{len(lines) - MAX_LINES} more lines]")


def ask(*arguments: str) -> dict[str, Any]:
    """Run a command as a script does."""
    answer: dict[str, Any] = json.loads(call(*arguments, "--json"))
    return answer


def call(*arguments: str) -> str:
    done = subprocess.run([OAUTHSYNC, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(
            f"DEMO FAILED: oauthsync {' '.join(arguments)} exited with {done.returncode}\n"
            + done.stderr
        )
    return done.stdout


def identity(profile: dict[str, Any]) -> tuple[str, str, str]:
    return profile["provider"], profile["name"], profile["data"]["client_id"]


def api(url: str, method: str, path: str) -> None:
    """A plain API call, without oauthsync."""
    request = urllib.request.Request(
        f"{url}/api/custom_oauth_profiles{path}",
        method=method,
        headers={"Authorization": "Bearer A"},
    )
    # A proxy of the environment has no way to loopback.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    # It raises for any status but success.
    opener.open(request, timeout=10).close()


@contextmanager
def sandbox() -> Iterator[str]:
    command = [OAUTHSYNC, "sandbox", "--profiles", str(PROFILES), "--token", "A", "--token", "B"]
    say("A local Workato with 250 profiles: " + " ".join(["oauthsync", *command[1:]]))
    with subprocess.Popen(
        [*command, "--requests-per-minute", "6000", "--quiet"], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            url: str = json.loads(process.stdout.readline())["url"]
            print(f"  it listens on {url}")
            yield url
        finally:
            process.terminate()


if __name__ == "__main__":
    main()
