"""The verbs and their options. Bodies import what they need; this file must stay light."""

from __future__ import annotations

from typing import Annotated

import typer

from blackbox.cli import league
from blackbox.cli.gate import Gate
from blackbox.cli.options import (
    ACCESS,
    Channel,
    Defence,
    Goal,
    Images,
    Keep,
    Levels,
    Log,
    Nets,
    Quiet,
    Run,
    Search,
    Seed,
    Surrogates,
    Table,
    Target,
    Targeted,
    Tariff,
    Teaching,
    ToCheck,
    Trials,
    Tried,
    Within,
    shared,
)

app = typer.Typer(
    name="blackbox",
    help="Black-box attacks on models you own: queries counted to the row, transfer rates with intervals.",
    epilog="Exit codes: 0 done, 1 target or machine failed, 2 wrong command, file or setting, 3 no success, 4 a gate failed. "
    "Start with: blackbox demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(league.app)


@app.callback(invoke_without_command=True)
def main(version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False) -> None:
    if version:
        import blackbox

        print(blackbox.__version__)
        raise typer.Exit


@app.command()
def demo(
    attacks: Annotated[str | None, typer.Option(help="More query attacks for the second table: names with commas.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All of: blackbox list attacks.")] = False,
    seed: Seed = 0,
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for the results.")] = "runs/demo",
    quiet: Quiet = False,
) -> None:
    """Surrogate, transfer and query attacks on embedded digits, offline, in seconds: tables, pictures, a report."""
    from blackbox.cli.demo import run

    run(out, seed, quiet, attacks, everything)


@app.command()
@shared
def attack(
    target: Target, how: Search, keep: Keep, known: Surrogates, images: Images, within: Within, nets: Nets, common: Run,
    log: Log = None,
) -> None:  # fmt: skip
    """Attack a target by queries, with surrogates where there are some. Exit code 3: no image was fooled, which is not an error."""
    from blackbox.cli.seeds import run

    run(target, how, known, images, within, nets, common, keep, log)


@app.command()
@shared
def evaluate(
    target: Target, keep: Keep, known: Surrogates, images: Images, within: Within, nets: Nets, common: Run, gate: Gate,
    budgets: Annotated[str, typer.Option(help="Queries an image may cost, ascending, with commas.")] = "100,1000,10000",
    levels: Levels = None,
    channel: Channel = None,
    defence: Defence = None,
    attack: Annotated[str, typer.Option("--attack", "-a", help="The attack of each row with a budget: a name, my.py:Mine.")] = "auto",
    ceiling: Annotated[
        str | None, typer.Option(help="Settings of the white-box ensemble.", show_default="steps=50,starts=2,classes=3")
    ] = None,
    goal: Goal = None,
    table: Table = None,
    tariff: Tariff = None,
) -> None:  # fmt: skip
    """How robust is a model: auto at each budget and access level, transfer, noise and the white-box ceiling. Exit code 4: a bar of
    --fail-under was missed, or the model is easier to fool than the --baseline. With --defence each search is shown beside one that
    knows the defence, and what a detector flags of benign queries."""
    from blackbox.cli.evaluate import run

    wanted = (goal, table, tariff)
    run(target, budgets, levels, channel or [], known, images, within, nets, common, keep, gate, attack, ceiling, defence or [], *wanted)


@app.command()
@shared
def tune(
    keep: Keep,
    images: Images,
    within: Within,
    nets: Nets,
    common: Run,
    search: Trials,
    model: Annotated[list[str], typer.Option(help="A model of yours to try on: runs/s1, cnn:w.safetensors; repeatable.")],
    attack: Annotated[str, typer.Option("--attack", "-a", help="A name from: blackbox list attacks.")] = "square",
    settings: Tried = None,
    budget: Annotated[int, typer.Option("--budget", "-b", help="The most queries an image may cost.")] = 1000,
    access: Annotated[str, typer.Option(help=ACCESS)] = "scores",
    jobs: Annotated[int, typer.Option(help="Runs at once.")] = 1,
    cache: Annotated[str | None, typer.Option(help="Folder that keeps each run: a larger grid costs what is new.")] = None,
) -> None:
    """Choose an attack's settings on models of your own: no query of a target is spent."""
    from blackbox.cli.tune import run

    run(
        attack, settings or [], model, budget, access, jobs, cache,
        images=images, within=within, nets=nets, common=common, keep=keep, search=search,
    )  # fmt: skip


@app.command()
@shared
def surrogate(
    target: Target, how: Teaching, keep: Keep, images: Images, nets: Nets, common: Run, log: Log = None
) -> None:
    """Train a surrogate from a target's answers, under a query budget."""
    from blackbox.cli.surrogate import run

    run(target, how, images, nets, common, keep, log)


@app.command()
@shared
def transfer(
    source: Annotated[
        list[str], typer.Option("--from", help="Surrogate: runs/s1, resnet20:w.safetensors; repeatable.")
    ],
    to: Annotated[list[str], typer.Option("--to", help="Target: digits:all, file.py:load, …; repeatable.")],
    keep: Keep,
    images: Images,
    within: Within,
    nets: Nets,
    common: Run,
    attacks: Annotated[
        str, typer.Option(help="Names from blackbox list presets, with commas; joined ones too: ni-di-ti-fgsm.")
    ] = "fgsm,i-fgsm,mi-fgsm",
    steps: Annotated[
        int | None, typer.Option(help="Steps of the iterative attacks.", show_default="the paper's")
    ] = None,
    given: Annotated[
        str, typer.Option(help="Denominator: all, target-correct, both-correct, source-fooled")
    ] = "target-correct",
    targeted: Targeted = None,
) -> None:
    """Craft on surrogates, show to targets: rates with intervals beside noise of the same size."""
    from blackbox.cli.transfer import run

    run(
        source, to, attacks, steps=steps, given=given, targeted=targeted,
        images=images, within=within, nets=nets, common=common, keep=keep,
    )  # fmt: skip


@app.command()
@shared
def sweep(
    study: Annotated[str, typer.Argument(help="A TOML file: the grid, and the images.")],
    keep: Keep,
    jobs: Annotated[int, typer.Option("--jobs", "-j", help="Workers on this machine.")] = 1,
    backend: Annotated[str, typer.Option(help="threading, loky (processes), or ray.")] = "threading",
    dask: Annotated[str | None, typer.Option(help="Dask scheduler instead: tcp://host:8786")] = None,
    shards: Annotated[int | None, typer.Option(help="Jobs that the cells of a point are cut into.", show_default="one a block")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Print cells and worst-case queries, and stop.")] = False,
    store: Annotated[str | None, typer.Option(help="SQLite file.", show_default="OUT/store.sqlite")] = None,
    out: Annotated[str | None, typer.Option("--out", "-o", help="Folder for the results.", show_default="runs/NAME of the study")] = None,
    log: Log = None,
    quiet: Quiet = False,
) -> None:
    """Run a grid of attacks or transfers; after an interruption the same command runs only what is missing."""
    from blackbox.cli.sweep import run

    run(study, store, jobs, backend, dask, shards, plan, out, quiet, keep, log)


@app.command("app")
@shared
def app_(
    images: Images,
    nets: Nets,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", help="Hidden target: digits:svm-rbf, file.py:load, …; repeatable.", show_default="digits"),
    ] = None,
    surrogate: Annotated[
        list[str] | None,
        typer.Option(
            "--surrogate", "-s", help="A net for gradients: runs/s1, resnet20:w.safetensors; repeatable.",
            show_default="targets that are nets",
        ),
    ] = None,
    eps: Annotated[
        str | None, typer.Option(help="The end of the slider: 0.1, 16/255.", show_default="0.1; photographs 16/255")
    ] = None,
    runs: Annotated[str, typer.Option(help="Folder of saved runs.")] = "runs",
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1.", show_default="the first free from 7860")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the surrogates trained for the digits.")] = 0,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Interactive page on this machine: epsilon slider, why it transfers, query attacks, regions. Needs the extra [app]."""
    from blackbox.app.server import run
    from blackbox.specs.parse import number

    run(
        target or [], surrogate or [], images=images, nets=nets, most=None if eps is None else number(eps), runs=runs, port=port,
        seed=seed, quiet=quiet,
    )  # fmt: skip


@app.command()
def report(
    runs: Annotated[list[str], typer.Argument(help="Folders of saved runs, or one that holds several.")],
    out: Annotated[str | None, typer.Option("--out", "-o", help="Folder for the report.", show_default="runs/report-…")] = None,
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    against: Annotated[
        str | None, typer.Option(help="The run, or run/attack, that the others are compared with.", show_default="first")
    ] = None,
    figures: Annotated[
        str | None, typer.Option(help="Save every picture in these formats too, for papers: pdf,svg.", show_default="none")
    ] = None,
    quiet: Quiet = False,
) -> None:
    """One HTML page from saved runs, with Markdown and CSV; with the extra data, Parquet and LaTeX."""
    from blackbox.cli.report import run

    run(runs, out, title, against, figures, quiet)


@app.command()
@shared
def serve(
    target: Annotated[str, typer.Argument(help="Model: digits:svm-rbf, net.onnx, file.py:load, …")],
    nets: Nets,
    port: Annotated[int, typer.Option("--port", "-p", help="Where to listen; 0 for a free one.")] = 8765,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    expose: Annotated[bool, typer.Option("--expose", help="Let other machines ask.")] = False,
    access: Annotated[str | None, typer.Option(help=ACCESS, show_default="scores, or what the channels leave")] = None,
    channel: Channel = None,
    max_rows: Annotated[int, typer.Option("--max-rows", help="The most images of a request.")] = 256,
    data: Annotated[str, typer.Option("--data", "-d", help="Data whose images and classes the target knows.")] = "digits",
    shape: Annotated[str | None, typer.Option(help="Instead of --data, with --classes: 3,32,32")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the channels.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print the address and errors only.")] = False,
) -> None:
    """Serve a target on this machine, for http://127.0.0.1:PORT as a target elsewhere (docs/how-to/http.md)."""
    from blackbox.cli.serve import run

    run(target, port, host, expose, access, channel or [], max_rows, data, shape, seed, nets, quiet)


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="attacks, goals, channels, presets, models, data or targets; all of them by default.")
    ] = "all",
) -> None:
    """List attacks, goals, channels, presets, targets, models or data: what each needs, its paper, its measured cost."""
    from blackbox.cli.listing import run

    run(what)


@app.command()
def doctor(
    attack: ToCheck = None,
    settings: Annotated[list[str] | None, typer.Option("--set", help="A setting of the attack: --set p_init=0.1.")] = None,
) -> None:
    """Check the installation, and the counting of queries against control targets; or the contract of one attack."""
    from blackbox.cli.doctor import run

    run(attack, settings)
