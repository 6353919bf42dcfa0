"""Groups of options: which images, which nets, how much change.

The command line shows each field with its help text; studies and scripts make the groups themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer


@dataclass(frozen=True)
class Images:
    """Which images to use."""

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
        str | None, typer.Option(help="File with a class name a line, or names with commas, in the target's index order.")
    ] = None


@dataclass(frozen=True)
class Nets:
    """How models are loaded, and where they run."""

    classes: Annotated[
        int | None, typer.Option(help="How many classes the target has.", show_default="as the data")
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
    returns: Annotated[
        str | None,
        typer.Option(help="What the target returns: logits, probabilities, percent, labels.", show_default="recognised"),
    ] = None
    batch: Annotated[
        int | None, typer.Option(help="Rows of every call, for a model that takes exactly so many; short calls are filled up.")
    ] = None
    own_endpoint: Annotated[
        bool, typer.Option("--own-endpoint", help="The http target on another machine is mine, or I may test it.")
    ] = False

    def set_threads(self) -> None:
        """Set torch's number of threads, if one is given."""
        if self.threads is None:
            return
        if self.threads < 1:
            raise ValueError(f"Expected --threads to be at least 1, but it was {self.threads}.")
        import torch

        torch.set_num_threads(self.threads)


@dataclass(frozen=True)
class Within:
    """How far images may be changed."""

    norm: Annotated[str | None, typer.Option(help="linf, l2, l1 or l0.", show_default="linf")] = None
    eps: Annotated[str | None, typer.Option(help="Radius for images in [0, 1]: 8/255, 0.03, inf.")] = None
    threat: Annotated[str | None, typer.Option(help="Norm and radius in one: linf:8/255.")] = None
