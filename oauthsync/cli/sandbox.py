"""`sandbox`: a local Workato to rehearse with."""

from pathlib import Path

import click

from oauthsync.cli import terminal
from oauthsync.cli.common import Session, common_options


def _number(_ctx: click.Context, _param: click.Parameter, value: float) -> float:
    if value != value:  # NaN is in every range
        raise click.BadParameter("'nan' is not a number.")
    return value


@click.command("sandbox")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="Port (default: a free one)."
)
@click.option(
    "--db",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep the profiles, without secrets, in this file"
    " (default: in memory; a restart begins anew).",
)
@click.option(
    "--profiles",
    type=click.IntRange(0, 1_000_000),
    default=0,
    help="Sample profiles to start with (default: 0).",
)
@click.option(
    "--token",
    "tokens",
    multiple=True,
    help="A token, and a workspace of its own; repeatable (default: sandbox).",
)
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="FAULT",
    help="Misbehave, as [ON:]KIND[:OPTION]…; repeatable (default: not at all).",
)
@click.option(
    "--requests-per-minute",
    type=click.IntRange(1),
    default=60,
    help="The quota of each workspace (default: 60).",
)
@click.option(
    "--latency",
    type=click.FloatRange(0, 3600),
    callback=_number,
    default=0.0,
    help="Seconds for each answer (default: 0).",
)
@common_options
def sandbox_command(
    session: Session,
    port: int,
    db: Path | None,
    profiles: int,
    tokens: tuple[str, ...],
    faults: tuple[str, ...],
    requests_per_minute: int,
    latency: float,
) -> None:
    """Run a local Workato with just this API, on loopback, until interrupted.

    The first token's workspace starts with the sample profiles, the others are empty. Where it
    listens is said at start, in one JSON line on stdout.

    \b
    A FAULT is [ON:]KIND[:OPTION]..., for example POST:reset-after-apply:0.2
    ON      a method, a call (list get create update delete me), or * (default)
    KIND    reset close truncate half-json html 500 502 503 504 hang, each also as
            KIND-after-apply and KIND-late; 429 429-date 429-bare refused errors-list
            redirect drip interim repeat-page repeat-row skip-row empty-page stale
            endless reorder shuffle
    OPTION  0.2 (probability), x3 (three times), +2 (after two requests), 30s (delay)
    """
    from oauthsync.sandbox import Fault, Sandbox

    names = tokens or ("sandbox",)
    sandbox = Sandbox(
        names,
        profiles=profiles,
        port=port,
        db=db,
        requests_per_minute=requests_per_minute,
        latency=latency,
        faults=[Fault.parse(fault) for fault in faults],
    )

    def ready(url: str) -> None:
        terminal.print_json({"url": url, "tokens": list(names)})
        session.answered = True
        session.say("press Ctrl-C to stop")

    sandbox.serve_forever(ready)
