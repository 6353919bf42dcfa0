"""Options that several verbs share: their help, defaults, and groups.

A verb's parameter that is a group (``images: Images``) stands for the options of the group: `shared` shows them to typer
one by one and passes the group to the verb.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer

from blackbox.specs.options import Images, Nets, Within

__all__ = ["ACCESS", "Images", "Keep", "Nets", "Run", "Target", "Targeted", "Within", "shared"]

Target = Annotated[
    str, typer.Option("--target", "-t", help="Model: digits:svm-rbf, net.onnx, file.py:load, http://127.0.0.1:8765, …")
]
Targeted = Annotated[str | None, typer.Option(help="A class to reach, random, or FILE.npy: another one for each image.")]
Seed = Annotated[int, typer.Option(help="Random seed.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]
Budget = Annotated[int, typer.Option("--budget", "-b", help="Query budget per image.")]
Log = Annotated[
    list[str] | None,
    typer.Option("--log", help="Live curves: tensorboard, csv, mlflow (:FOLDER), wandb (:PROJECT), file.py:Logger; repeatable."),
]
ACCESS = "What the target shows: labels, topk, topk:K, scores, logits, answers (of any form, for a --goal)."


Levels = Annotated[
    str | None,
    typer.Option(help="What the target shows: labels, topk, scores, with commas.", show_default="labels and the most it shows"),
]
Tried = Annotated[
    list[str] | None,
    typer.Option("--set", help="Values, p_init=0.05,0.1,0.4, or a range, p_init=0.01..0.5:log; repeatable."),
]
ToCheck = Annotated[
    str | None, typer.Option("--attack", "-a", help="Check the contract of this attack instead: a name, my.py:Mine.")
]


@dataclass(frozen=True)
class Run:
    """Options of every run."""

    seed: Seed = 0
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Folder for the results.", show_default="runs/VERB-…")
    ] = None
    quiet: Quiet = False


@dataclass(frozen=True)
class Keep:
    """What a long run keeps on disk, and how often it tries again: the same for every verb that asks a target."""

    retries: Annotated[
        int, typer.Option(help="How often a call that fails on the way (429, 503, no answer) is tried again, after growing waits.")
    ] = 0
    journal: Annotated[
        str | None,
        typer.Option(help="File of every answer, written at once: the same command goes on from it and pays for nothing twice."),
    ] = None
    checkpoint: Annotated[
        str | None,
        typer.Option(help="The same, where queries cost nothing: the state of the run, twice a minute and at every failure."),
    ] = None

    def __post_init__(self) -> None:
        if self.retries < 0:
            raise ValueError(f"Expected --retries to be at least 0, but it was {self.retries}.")
        if self.journal and self.checkpoint:
            raise ValueError("Expected either --checkpoint or --journal, but both were given. A journal holds all that a checkpoint does.")

    def again(self, answered: int = 1) -> str:
        """How to go on after a failure: one sentence; no advice to keep answers where there was none, as nothing would be saved."""
        if self.journal or self.checkpoint:
            return "Give the same command again: it goes on from there."
        return "" if not answered else "With --journal FILE, the same command would go on from there."


Channel = Annotated[
    list[str] | None,
    typer.Option(help="Channel before the target, from it outwards: round:2, jpeg:75; repeatable."),
]


Defence = Annotated[
    list[str] | None,
    typer.Option(help="Defence around the target, inside any channel: blacklight:action=reject, aaa, random-features; repeatable."),
]


Goal = Annotated[
    str | None,
    typer.Option(help="What to reach instead: none-of:3,5 top 5, regression:up=0.5, file.py:mine; see blackbox list goals."),
]
Tariff = Annotated[
    str | None,
    typer.Option("--tariff", help="Prices and limits of an image: query=0.01,bad=0.02,flagged=0.5,most=1.5,lock-out=5."),
]
Patch = Annotated[
    str | None,
    typer.Option(help="Instead of --eps: anything in a rectangle: 8, 8x6; its place searched, or @random, @ROW,COLUMN."),
]
Mask = Annotated[
    str | None, typer.Option(help="What of an image may change: a .npy file, or a picture, white where it may.")
]
Table = Annotated[
    str | None,
    typer.Option("--table", help="Of rows, --data csv:FILE: a TOML file that says what a row may be (docs/how-to/tables.md)."),
]


@dataclass(frozen=True)
class Search:
    """How a target is attacked."""

    attack: Annotated[
        str, typer.Option("--attack", "-a", help="A name from: blackbox list attacks; or several, with commas. As bb.attack: auto.")
    ] = "auto"
    budget: Budget = 1000
    access: Annotated[str | None, typer.Option(help=ACCESS, show_default="scores, or what target and channels show")] = None
    channel: Channel = None
    defence: Defence = None
    seeds: Annotated[
        str | None, typer.Option(help="Several random seeds instead of one, with commas: a folder each, and pooled rates.")
    ] = None
    votes: Annotated[
        int | None,
        typer.Option(
            help="Fresh answers that confirm a success.", show_default="11 where the target is randomised, else 1"
        ),
    ] = None
    eight_bit: Annotated[
        bool,
        typer.Option(
            "--eight-bit", help="Count only examples that hold as 8-bit files. A target fed PNG or uint8 needs --channel eight-bit."
        ),
    ] = False
    targeted: Targeted = None
    goal: Goal = None
    table: Table = None
    tariff: Tariff = None
    mask: Mask = None
    patch: Patch = None
    frame: Annotated[int | None, typer.Option(help="Instead of --eps: anything in the outermost pixels, so many wide.")] = None
    start: Annotated[
        str | None, typer.Option(help="Images to start from: npz:PATH, or the folder of a run of this verb.")
    ] = None
    pool: Annotated[
        str | None, typer.Option(help="With --targeted: start from images of the class to reach: digits, npz:PATH, …")
    ] = None
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="A setting: --set p_init=0.1, with several attacks square.p_init=0.1"),
    ] = None
    cache: Annotated[bool, typer.Option("--cache", help="With --journal: query no image twice.")] = False
    answers: Annotated[
        str, typer.Option(help="How many images of --own to query for training; charged.")
    ] = "0"

    def __post_init__(self) -> None:
        if self.budget < 1:
            raise ValueError(f"Expected --budget to be at least 1, but it was {self.budget}.")
        beside = {"--mask": self.mask, "--patch": self.patch, "--frame": self.frame, "--eight-bit": self.eight_bit, "--pool": self.pool}
        if self.table and (given := [name for name, value in beside.items() if value]):
            raise ValueError(f"Expected no {given[0]} with --table, whose rows are no images, but both were given.")
        if self.votes is not None and (self.votes < 1 or self.votes % 2 == 0):
            raise ValueError(
                f"Expected --votes to be an odd number, so that there is a majority, but it was {self.votes}."
            )


@dataclass(frozen=True)
class Surrogates:
    """The surrogates that an attacker has."""

    surrogate: Annotated[
        list[str] | None,
        typer.Option(help="A surrogate that the attacker may use: runs/s1, cnn:w.safetensors; repeatable."),
    ] = None
    own: Annotated[
        str | None,
        typer.Option(help="Images to train surrogates on, without a query: folder:PATH, digits, …"),
    ] = None
    arch: Annotated[
        str | None,
        typer.Option(help="Architectures to train on --own, with commas.", show_default="vgg,cnn for colour, else cnn,mlp"),
    ] = None
    epochs: Annotated[int, typer.Option(help="Epochs over --own.")] = 30


@dataclass(frozen=True)
class Teaching:
    """How a surrogate is trained on a target's answers."""

    queries: Annotated[int, typer.Option("--queries", help="Query budget for training.")] = 1600
    arch: Annotated[
        str,
        typer.Option(help="The surrogate's net: mlp, lenet, cnn, vgg, resnet20, vit, mixer, mobilenet, densenet, torchvision:NAME"),
    ] = "cnn"
    access: Annotated[str, typer.Option(help=ACCESS)] = "labels"
    holdout: Annotated[int, typer.Option(help="Held-out images to measure agreement on (one query each).")] = 500
    epochs: Annotated[int, typer.Option(help="Epochs over the answers.")] = 30
    optimiser: Annotated[str, typer.Option(help="adam or sgd.")] = "adam"
    strategy: Annotated[
        str,
        typer.Option(
            help="Which images are queried: distil, random, active, uncertainty, k-center, dfal, jacobian, noised; or, without images of "
            "one's own, those of a generator: dfme, maze, hard-label (labels)."
        ),
    ] = "distil"

    def __post_init__(self) -> None:
        if self.queries < 1:
            raise ValueError(f"Expected --queries to be at least 1, but it was {self.queries}.")


@dataclass(frozen=True)
class Trials:
    """A search in ranges of settings."""

    trials: Annotated[int, typer.Option(help="Of ranges, --set p_init=0.01..0.5:log: how many settings are tried.")] = 40
    storage: Annotated[
        str | None, typer.Option(help="Of ranges: a SQLite file with which the same command goes on.")
    ] = None
    sampler: Annotated[str, typer.Option(help="Of ranges: tpe or random.")] = "tpe"

    def __post_init__(self) -> None:
        if self.trials < 1:
            raise ValueError(f"Expected --trials to be at least 1, but it was {self.trials}.")


def shared(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb as typer sees it: its own options, then the fields of each group."""
    hints = get_type_hints(verb, include_extras=True)
    groups: dict[str, type] = {}
    shown: list[inspect.Parameter] = []
    later: list[inspect.Parameter] = []
    for given in inspect.signature(verb).parameters.values():
        kind = hints[given.name]
        if not is_dataclass(kind):
            shown.append(given.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        assert isinstance(kind, type)
        groups[given.name] = kind
        own = get_type_hints(kind, include_extras=True)
        for f in fields(kind):
            assert f.default is not MISSING
            later.append(
                inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=own[f.name])
            )

    shown += later

    @functools.wraps(verb)
    def call(**options: Any) -> None:
        made = {
            name: kind(**{f.name: options.pop(f.name) for f in fields(kind)})  # type: ignore[arg-type]
            for name, kind in groups.items()
        }
        verb(**options, **made)

    call.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in shown}
    return call
