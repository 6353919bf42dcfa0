"""Surrogates that a verb trains on the way: on the attacker's own images, and on answers of the target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blackbox import specs
from blackbox.cli import options
from blackbox.cli.progress import say
from blackbox.specs import parse

if TYPE_CHECKING:
    from blackbox.oracle.oracle import Oracle
    from blackbox.results import AttackResult
    from surrogates import Dataset


def read(own: str, shown: specs.ImageSet, classes: int) -> Dataset:
    """The attacker's own images.

    Raises:
        ValueError: they are not what the target takes.
    """
    data = specs.own(own)
    if data.shape != shown.data.shape or len(data.classes) != classes:
        raise ValueError(
            f"Expected --own to hold images of shape {shown.data.shape} in {classes} classes, as the target takes, but it has "
            f"{data.shape} in {len(data.classes)}."
        )
    return data


def train(data: Dataset, own: str, arch: str | None, epochs: int, common: options.Run) -> dict[str, Any]:
    """Train surrogates on the attacker's own images and their true labels, without a query."""
    import surrogates as sg

    out: dict[str, Any] = {}
    # two kinds of nets are worth more than one; which: `python -m experiments.studies.settings --study surrogates`
    for i, name in enumerate(parse.words(arch or ("vgg,cnn" if data.shape[0] == 3 else "cnn,mlp"))):
        how = f"{len(data):,} images of {own} and their true labels, {epochs} epochs"
        say(f"surrogate        {name} from {how}", common.quiet)
        net = sg.build(name, classes=len(data.classes), shape=data.shape, seed=common.seed + i)
        out[specs.free(name, out)] = sg.train(net, data, sg.Recipe(epochs=epochs), seed=common.seed + i)
    return out


def answers(text: str, pool: int) -> int:
    """``--answers``: how many images of ``--own`` are queried for training before the attack."""
    if text == "auto":
        raise ValueError(
            f"Expected --answers to be a number between 0 and the {pool:,} images of --own, but it was auto, which is no longer "
            "offered: no measurement says how many answers pay on an unknown target. Try 0 first."
        )
    count = parse.integer(text, "--answers")
    if not 0 <= count <= pool:
        raise ValueError(f"Expected --answers between 0 and the {pool:,} images of --own, but it was {count:,}.")
    return count


def teach(nets: list[Any], data: Dataset, oracle: Oracle, count: int, images: int, common: options.Run) -> list[Any]:
    """Train the nets on ``count`` answers more, which are charged to ``oracle``."""
    import surrogates as sg

    say(f"training         {count:,} answers bought for training, {count / images:.1f} an image", common.quiet)
    return sg.teach(nets, data, oracle, count, seed=common.seed)


def bill(count: int, result: AttackResult) -> dict[str, float]:
    """Queries in all, for training and attack; per image; and per image with its share of the training."""
    own, images = float(result.queries.sum()), max(len(result), 1)
    return {"total": own + count, "an image": own / images, "amortised": (own + count) / images}
