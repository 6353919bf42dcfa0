"""Options that several verbs take, each written once: words of the help, defaults, and the groups they come in.

A verb's parameter that is a group (``images: Images``) stands for the options of the group: `shared` shows them to typer
one by one and hands the verb the group.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer

Target = Annotated[
    str, typer.Option("--target", "-t", help="Model: digits:svm-rbf, net.onnx, file.py:load, http://127.0.0.1:8765, …")
]
Targeted = Annotated[str | None, typer.Option(help="A class to reach, or random (another one for each image).")]
ACCESS = "What the target shows: labels, topk, topk:K, scores, logits."


@dataclass(frozen=True)
class Images:
    """Which images."""

    data: Annotated[
        str, typer.Option("--data", "-d", help="digits, folder:PATH, npz:PATH, cifar10:ROOT, mnist:ROOT, …")
    ] = "digits"
    n: Annotated[int | None, typer.Option("--n", "-n", help="How many images.", show_default="all")] = None
    pick: Annotated[str, typer.Option(help="Which n: spread evenly over the data, first, or random.")] = "spread"
    split: Annotated[
        str | None,
        typer.Option(help="digits: attack, surrogate, target; torchvision sets: test, train.", show_default="held out"),
    ] = None
    size: Annotated[int | None, typer.Option(help="Side of the images: folders are resized and cut to it.")] = None
    class_names: Annotated[
        str | None, typer.Option(help="File with a class name a line, in the target's index order.")
    ] = None


@dataclass(frozen=True)
class Nets:
    """How models are loaded, and where they run."""

    classes: Annotated[
        int | None, typer.Option(help="How many classes the target tells apart.", show_default="as the data")
    ] = None
    mean: Annotated[
        str | None,
        typer.Option(
            help="Subtracted inside nets loaded from weights; one, or one a channel: 0.5,0.5,0.5",
            show_default="the net's own",
        ),
    ] = None
    std: Annotated[str | None, typer.Option(help="Divided by, likewise: 1", show_default="the net's own")] = None
    device: Annotated[str | None, typer.Option(help="Where nets run: cpu, cuda.", show_default="cpu")] = None
    threads: Annotated[int | None, typer.Option(help="Threads of torch.", show_default="as torch chooses")] = None
    own_endpoint: Annotated[
        bool, typer.Option("--own-endpoint", help="An http target that is elsewhere is mine, or mine to test.")
    ] = False


@dataclass(frozen=True)
class Within:
    """How far images may be changed."""

    norm: Annotated[str | None, typer.Option(help="linf, l2, l1 or l0.", show_default="linf")] = None
    eps: Annotated[str | None, typer.Option(help="Radius for images in [0, 1]: 8/255, 0.03, inf.")] = None
    threat: Annotated[str | None, typer.Option(help="Norm and radius in one: linf:8/255.")] = None


@dataclass(frozen=True)
class Run:
    """What every run has."""

    seed: Annotated[int, typer.Option(help="Of every draw.")] = 0
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="Folder for the results.", show_default="runs/VERB-…")
    ] = None
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False


def shared(verb: Callable[..., None]) -> Callable[..., None]:
    """The verb as typer shall see it: its own options, then the fields of each group."""
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
