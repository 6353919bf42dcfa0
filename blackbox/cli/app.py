"""The verbs and their options. Bodies import what they need; this file must stay light."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer(
    name="blackbox",
    help="Black-box attacks on image classifiers you own: queries counted to the row, transfer rates with intervals.",
    epilog="Exit codes: 0 done, 1 target or machine failed, 2 wrong command, file or setting, 3 no success. "
    "Start with: blackbox demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

Out = Annotated[str | None, typer.Option("--out", "-o", help="Folder for the results.", show_default="runs/VERB-…")]
Seed = Annotated[int, typer.Option(help="Of every draw.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Data = Annotated[str, typer.Option("--data", "-d", help="digits, folder:PATH, npz:PATH, cifar10:ROOT, mnist:ROOT, …")]
N = Annotated[int | None, typer.Option("--n", "-n", help="How many images.", show_default="all")]
Pick = Annotated[str, typer.Option(help="Which n: spread evenly over the data, first, or random.")]
Split = Annotated[
    str | None,
    typer.Option(help="digits: attack, surrogate, target; torchvision sets: test, train.", show_default="held out"),
]
Size = Annotated[int | None, typer.Option(help="Side of the images: folders are resized and cut to it.")]
ClassNames = Annotated[str | None, typer.Option(help="File with a class name a line, in the target's index order.")]
Classes = Annotated[
    int | None, typer.Option(help="How many classes the target tells apart.", show_default="as the data")
]
Mean = Annotated[
    str | None,
    typer.Option(
        help="Subtracted inside nets loaded from weights; one, or one a channel: 0.5,0.5,0.5",
        show_default="the net's own",
    ),
]
Std = Annotated[str | None, typer.Option(help="Divided by, likewise: 1", show_default="the net's own")]
Norm = Annotated[str | None, typer.Option(help="linf, l2, l1 or l0.", show_default="linf")]
Eps = Annotated[str | None, typer.Option(help="Radius for images in [0, 1]: 8/255, 0.03.")]
Threat = Annotated[str | None, typer.Option(help="Norm and radius in one: linf:8/255.")]
Device = Annotated[str | None, typer.Option(help="Where nets run: cpu, cuda.", show_default="cpu")]
Threads = Annotated[int | None, typer.Option(help="Threads of torch.", show_default="as torch chooses")]


@app.callback(invoke_without_command=True)
def main(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        import blackbox

        print(blackbox.__version__)
        raise typer.Exit


@app.command()
def demo(
    out: Annotated[str, typer.Option("--out", "-o", help="Folder for the results.")] = "runs/demo",
    seed: Seed = 0,
    quiet: Quiet = False,
) -> None:
    """The whole story on embedded digits, offline, in seconds: surrogate, transfer, queries, tables, pictures."""
    from blackbox.cli.demo import run

    run(out, seed, quiet)


@app.command()
def attack(
    target: Annotated[
        str, typer.Option("--target", "-t", help="Model: digits:svm-rbf, resnet20:w.safetensors, file.py:load")
    ],
    attack: Annotated[str, typer.Option("--attack", "-a", help="A name from: blackbox list attacks.")] = "square",
    data: Data = "digits",
    norm: Norm = None,
    eps: Eps = None,
    threat: Threat = None,
    budget: Annotated[int, typer.Option("--budget", "-b", help="The most queries an image may cost.")] = 1000,
    access: Annotated[str, typer.Option(help="What the target shows: labels, topk, scores, logits.")] = "scores",
    targeted: Annotated[
        str | None, typer.Option(help="A class to reach, or random (another one for each image).")
    ] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the attack: --set p_init=0.1")
    ] = None,
    n: N = None,
    pick: Pick = "spread",
    split: Split = None,
    size: Size = None,
    class_names: ClassNames = None,
    classes: Classes = None,
    mean: Mean = None,
    std: Std = None,
    checkpoint: Annotated[
        str | None, typer.Option(help="File that lets a killed run go on: same command again.")
    ] = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Attack a target through queries alone. Exit code 3 when no image was fooled."""
    from blackbox.cli.attack import run

    run(
        target, attack, data, norm=norm, eps=eps, threat=threat, budget=budget, access=access, targeted=targeted,
        settings=settings or [], n=n, pick=pick, split=split, size=size, class_names=class_names, classes=classes, mean=mean, std=std,
        checkpoint=checkpoint, seed=seed, device=device, threads=threads, out=out, quiet=quiet,
    )  # fmt: skip


@app.command()
def surrogate(
    target: Annotated[
        str, typer.Option("--target", "-t", help="The model to imitate: digits:svm-rbf, file.py:load, …")
    ],
    queries: Annotated[int, typer.Option("--queries", help="The most images that may be shown to the target.")] = 1600,
    arch: Annotated[str, typer.Option(help="The surrogate's net: mlp, lenet, cnn, resnet20, torchvision:NAME")] = "cnn",
    access: Annotated[str, typer.Option(help="What the target shows: labels, topk, scores, logits.")] = "labels",
    data: Data = "digits",
    holdout: Annotated[int, typer.Option(help="Images kept aside to measure agreement on (one query each).")] = 500,
    epochs: Annotated[int, typer.Option(help="Passes over the answers.")] = 30,
    optimiser: Annotated[str, typer.Option(help="adam or sgd.")] = "adam",
    n: N = None,
    pick: Pick = "spread",
    split: Split = None,
    size: Size = None,
    class_names: ClassNames = None,
    classes: Classes = None,
    mean: Mean = None,
    std: Std = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Train a surrogate from a target's answers, under a query budget."""
    from blackbox.cli.surrogate import run

    run(
        target, queries, arch, access=access, data=data, holdout=holdout, epochs=epochs, optimiser=optimiser, n=n,
        pick=pick, split=split, size=size, class_names=class_names, classes=classes, mean=mean, std=std, seed=seed, device=device,
        threads=threads, out=out, quiet=quiet,
    )  # fmt: skip


@app.command()
def transfer(
    source: Annotated[
        list[str], typer.Option("--from", help="Surrogate: runs/s1, resnet20:w.safetensors; repeatable.")
    ],
    to: Annotated[list[str], typer.Option("--to", help="Target: digits:all, file.py:load, …; repeatable.")],
    attacks: Annotated[
        str, typer.Option(help="Names from blackbox list presets, with commas.")
    ] = "fgsm,i-fgsm,mi-fgsm",
    eps: Eps = None,
    norm: Norm = None,
    threat: Threat = None,
    steps: Annotated[
        int | None, typer.Option(help="Steps of the iterative attacks.", show_default="the paper's")
    ] = None,
    given: Annotated[
        str, typer.Option(help="Denominator: all, target-correct, both-correct, source-fooled")
    ] = "target-correct",
    targeted: Annotated[
        str | None, typer.Option(help="A class to reach, or random (another one for each image).")
    ] = None,
    data: Data = "digits",
    n: N = None,
    pick: Pick = "spread",
    split: Split = None,
    size: Size = None,
    class_names: ClassNames = None,
    classes: Classes = None,
    mean: Mean = None,
    std: Std = None,
    seed: Seed = 0,
    device: Device = None,
    threads: Threads = None,
    out: Out = None,
    quiet: Quiet = False,
) -> None:
    """Craft on surrogates, show to targets: rates with intervals beside noise of the same size."""
    from blackbox.cli.transfer import run

    run(
        source, to, attacks, eps=eps, norm=norm, threat=threat, steps=steps, given=given, targeted=targeted, data=data,
        n=n, pick=pick, split=split, size=size, class_names=class_names, classes=classes, mean=mean, std=std, seed=seed, device=device,
        threads=threads, out=out, quiet=quiet,
    )  # fmt: skip


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="attacks, presets, models, data or targets; all of them by default.")
    ] = "all",
) -> None:
    """What there is: name, what it needs, norms, paper."""
    from blackbox.cli.listing import run

    run(what)


@app.command()
def doctor() -> None:
    """Look at the installation, and check the counting of queries against a control target."""
    from blackbox.cli.doctor import run

    run()
