"""``blackbox league``: host, play and check a benchmark whose counts the target's side keeps and signs."""

from __future__ import annotations

from typing import Annotated

import typer

from blackbox.cli.options import Quiet

app = typer.Typer(
    name="league", no_args_is_help=True, rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]},
    help="A benchmark whose counts the target's side keeps and signs: host, play, verify, show.",
)  # fmt: skip

Data = Annotated[str | None, typer.Option("--data", "-d", help="Where relative paths in the scenario start.", show_default="here")]
Scenarios = Annotated[list[str], typer.Option("--scenario", help="A scenario's TOML file, or one that ships: mini; repeatable.")]
Slots = Annotated[str | None, typer.Option("--sealed", help="The file that fills sealed slots: blackbox league seal.")]
Entries = Annotated[list[str], typer.Argument(help="Folders of entries.")]
PublicKey = Annotated[str, typer.Option("--key", help="The server's public key.")]
Journal = Annotated[str | None, typer.Option("--server-journal", help="The server's journal, for the host.")]
SignedOnly = Annotated[bool, typer.Option("--signed-only", help="Do not load the scenario's data and targets.")]


@app.command()
def mini(
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for entries and site; earlier ones are replaced.")] = "runs/league",
    attacks: Annotated[
        str | None, typer.Option(help="Those that play, with commas.", show_default="noise, square, signhunter, hybrid")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """A whole league in minutes, offline: serve three small models, one of them sealed, play, verify, write the table."""
    from blackbox.cli.league_mini import run

    run(out, attacks, quiet)


@app.command()
def keys(folder: Annotated[str, typer.Argument(help="Where to; outside any repository.")]) -> None:
    """Make the server's pair of keys: league.key stays with the host, league.pub is published."""
    from blackbox.league.signing import make

    private, public = make(folder)
    print(f"private key      {private}, which only you may read")
    print(f"public key       {public}, for: blackbox league verify")


@app.command()
def seal(
    out: Annotated[str, typer.Argument(help="The file to write, which only you may read.")],
    scenario: Annotated[str, typer.Option(help="The scenario whose sealed slots are filled.")] = "mini",
    models: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="A model for a slot; repeatable, in the slots' order.", show_default="drawn")
    ] = None,
    folder: Annotated[str | None, typer.Option(help="Folder of weights to draw from.", show_default="digits' nets")] = None,
    form: Annotated[str, typer.Option("--as", help="How a file of the folder is written as a model: resnet20:{}")] = "{}",
) -> None:
    """Fill the sealed slots of a scenario: with models that you name, or drawn from a folder of nets."""
    from blackbox.league import scenario as scenarios
    from blackbox.league import sealed

    slots = [target.name for target in scenarios.read(scenario)[0].targets if target.sealed]
    sealed.make(out, slots, models or [], folder, form)
    print(f"sealed           {', '.join(slots)} in {out}. Publish it when the season is over: players can then check what they played.")


@app.command()
def show(scenario: Annotated[str, typer.Argument(help="A scenario's TOML file, or one that ships: mini.")], data: Data = None) -> None:
    """Check a scenario, name its files that are not there, and measure the overlap of the surrogates' training data with the targets'."""
    from blackbox.league.told import of_scenario

    text, lacks = of_scenario(scenario, data)
    print(text)
    if lacks:
        raise FileNotFoundError(lacks)


@app.command()
def serve(
    scenario: Scenarios,
    key: Annotated[str, typer.Option("--key", help="The private key: blackbox league keys.")],
    journal: Annotated[str, typer.Option(help="SQLite file of all that was asked; made if it is not there.")] = "league.sqlite",
    sealed: Slots = None,
    players: Annotated[str | None, typer.Option(help="File with a player and their token a line.", show_default="anybody")] = None,
    port: Annotated[int, typer.Option("--port", "-p", help="Where to listen; 0 for a free one.")] = 8766,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    expose: Annotated[bool, typer.Option("--expose", help="Let other machines play.")] = False,
    max_rows: Annotated[int, typer.Option("--max-rows", help="The most images of a call.")] = 256,
    data: Data = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the address and errors only.")] = False,
) -> None:
    """Serve the targets of scenarios: count every row, write it down before it is answered, hold to budgets, sign."""
    from blackbox.cli.league_serve import run

    run(scenario, key, journal, sealed, players, port, host, expose, max_rows, data, quiet)


@app.command()
def run(
    attack: Annotated[str, typer.Argument(help="noise, a name from: blackbox list attacks, or my.py:Mine.")],
    server: Annotated[str, typer.Option(help="Its address: http://127.0.0.1:8766")],
    out: Annotated[str, typer.Option("--out", "-o", help="Folder of the entry; the same command goes on with it.")],
    scenario: Annotated[str, typer.Option(help="The scenario, as the host has it.")] = "mini",
    player: Annotated[str, typer.Option(help="Your name.")] = "player",
    token: Annotated[str, typer.Option(envvar="BLACKBOX_LEAGUE_TOKEN", help="That the host gave you.", show_default="none")] = "",
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the attack: --set p_init=0.1; repeatable.")] = None,
    surrogates: Annotated[list[str] | None, typer.Option("--surrogate", "-s", help="A net of the scenario's pool; repeatable.")] = None,
    name: Annotated[str, typer.Option(help="Name in the table.", show_default="the attack's, with its settings")] = "",
    labels: Annotated[int, typer.Option(min=0, help="Answers that surrogates of yours were trained with, as you declare.")] = 0,
    training: Annotated[str, typer.Option(help="What else they took, as you declare.")] = "",
    own_endpoint: Annotated[bool, typer.Option("--own-endpoint", help="The server is on another machine, and I may play there.")] = False,
    patience: Annotated[float, typer.Option(help="Seconds to wait for a server that is away.")] = 30.0,
    data: Data = None,
    quiet: Quiet = False,
) -> None:
    """Play an attack on every target of a scenario; its source is hashed before a target is opened."""
    from blackbox.cli.progress import say
    from blackbox.league.client import Player
    from blackbox.league.play import Attempt, play

    attempt = Attempt(attack, settings or [], surrogates or [], name, labels, training)
    entry = play(attempt, scenario, Player(server, player, token, own_endpoint, patience), out, data, lambda line: say(line, quiet))
    say(f"entry            {out}/: {entry.attack} in {entry.scenario}, {len(entry.sessions)} sessions", quiet)
    say(f"next             blackbox league verify {out} --key KEYFILE, which is the host's public key", quiet)


@app.command()
def verify(
    entries: Entries,
    key: PublicKey,
    sealed: Slots = None,
    journal: Journal = None,
    again: Annotated[bool, typer.Option("--again", help="Play the attack from the journal: does it ask the same?")] = False,
    attack: Annotated[str, typer.Option("--attack", help="With --again: my.py:Mine, as it was played.", show_default="the entry's")] = "",
    signed_only: SignedOnly = False,
    data: Data = None,
    quiet: Quiet = False,
) -> None:
    """Check entries: signatures, counts, budgets, examples, source. Exit code 4: one was refused, with its reasons."""
    from blackbox.cli.league_verify import run

    run(entries, key, sealed, journal, again, attack, signed_only, data, quiet)


@app.command()
def table(
    entries: Entries,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for the site.")],
    key: PublicKey,
    sealed: Slots = None,
    journal: Journal = None,
    signed_only: SignedOnly = False,
    data: Data = None,
    quiet: Quiet = False,
) -> None:
    """Verify entries and write a static site: a table a scenario, a page an attack. Exit code 4: one was refused, and left out."""
    from blackbox.cli.league_table import run

    run(entries, out, key, sealed, journal, signed_only, data, quiet)
