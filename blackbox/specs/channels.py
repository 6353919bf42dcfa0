"""``--channel NAME:VALUE``: what stands between a target and its client, by name.

Channels are put around the target in the order of the command line, so the last one is the outermost:
``--channel topk:3 --channel round:2 --channel jpeg:75`` queries the target with the compressed image, keeps the three
largest of its scores, and rounds them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import MISSING, dataclass
from typing import TYPE_CHECKING, Any, get_type_hints

from blackbox.specs import parse

if TYPE_CHECKING:
    from blackbox.channels.channel import Channel

NAMES = {
    "labels": "LabelsOnly",
    "topk": "TopK",
    "round": "Rounded",
    "noise": "Noisy",
    "reverse-sigmoid": "ReverseSigmoid",
    "eight-bit": "EightBit",
    "jpeg": "JPEG",
    "input-noise": "InputNoise",
    "random-resize": "RandomResize",
    "random-features": "RandomFeatures",
    "aaa": "AAA",
    "blacklight": "Blacklight",
    "piha": "PIHA",
    "qpa": "QPA",
}


@dataclass(frozen=True)
class Chosen:
    """A channel that has yet to be put around a target."""

    name: str
    kind: type[Channel]
    values: dict[str, Any]


def settings(kind: type) -> dict[str, tuple[Any, Any]]:
    """The settings of a channel: name -> (type, default or MISSING)."""
    hints = get_type_hints(kind.__init__)  # type: ignore[misc]
    given = list(inspect.signature(kind).parameters.values())[1:]  # the first is the target
    return {p.name: (hints[p.name], MISSING if p.default is p.empty else p.default) for p in given}


def usage(name: str) -> str:
    """How to write a channel: ``jpeg:quality=75``, ``topk:k``."""
    known = settings(find(name))
    words = ",".join(
        n if d is MISSING else f"{n}={d:.4g}" if isinstance(d, float) else f"{n}={d}" for n, (_, d) in known.items()
    )
    return f"{name}:{words}" if words else name


def find(name: str) -> type[Channel]:
    """The class of a channel, by its name.

    Raises:
        ValueError: there is no such channel; the message lists them.
    """
    from blackbox import targets

    kind: type[Channel] = getattr(targets, NAMES[parse.one_of(name, NAMES, "--channel")])
    return kind


def defences() -> list[str]:
    """The names of those that were published against attacks."""
    from blackbox import targets

    return [name for name, kind in NAMES.items() if getattr(targets, kind).__module__.startswith("blackbox.defences.")]


def read(texts: Sequence[str], defended: Sequence[str] = ()) -> list[Chosen]:
    """Parse ``["topk:3", "noise:0.01,seed=4"]`` into channels, the innermost first; those of ``defended`` are inside.

    Raises:
        ValueError: no such channel or setting, a missing or invalid value, or an order in which one hides what the next one
            needs; one of ``defended`` is no defence.
    """
    for text in defended:
        parse.one_of(text.strip().partition(":")[0], defences(), "--defence")
    texts = [*defended, *texts]
    from blackbox.channels.channel import Scores
    from blackbox.targets import LabelsOnly

    out: list[Chosen] = []
    for text in texts:
        name, _, rest = text.strip().partition(":")
        kind = find(name)
        known = settings(kind)
        values = parse.assign(
            known, parse.words(rest), f"a setting of the channel {name}", f"--channel {usage(name)}", in_order=True
        )
        lacking = [n for n, (_, default) in known.items() if default is MISSING and n not in values]
        if lacking:
            raise ValueError(f"Expected --channel {name}:{','.join(lacking).upper()}, but it was {text!r}.")
        if issubclass(kind, Scores) and (hiding := next((c for c in out if c.kind is LabelsOnly), None)):
            raise ValueError(
                f"Expected scores for --channel {text} to change, but {hiding.name}, given before it, hides them. Give it earlier."
            )
        out.append(Chosen(name, kind, values))
        kind(_nothing, **values)  # reports an invalid value before anything is loaded
    return out


def wrap(model: Any, stack: Sequence[Chosen], seed: int) -> Any:
    """Wrap the model in the channels; their draws follow from ``seed`` unless they have a seed of their own."""
    for chosen in stack:
        own = {"seed": seed} if "seed" in settings(chosen.kind) else {}
        model = chosen.kind(model, **{**own, **chosen.values})
    return model


def access(wanted: str | None, stack: Sequence[Chosen]) -> str:
    """The access level: as wanted, by default scores, or less if the channels hide them.

    Raises:
        ValueError: more is wanted than the channels show.
    """
    from blackbox.channels.channel import Scores
    from blackbox.protocol import Access
    from blackbox.targets import LabelsOnly, TopK

    labels = next((c for c in stack if c.kind is LabelsOnly), None)
    listed = [c.values["k"] for c in stack if c.kind is TopK]
    most = "labels" if labels else f"topk:{min(listed)}" if listed else "scores"
    if wanted is None:
        return most
    level = Access.parse(wanted.partition(":")[0])
    changed = next((c for c in stack if issubclass(c.kind, Scores)), None)
    if labels and level is not Access.LABELS:
        raise ValueError(
            f"Expected --access labels with --channel labels, which shows nothing else, but it was {wanted!r}."
        )
    if changed and level is Access.LOGITS:
        raise ValueError(
            f"Expected at most --access scores with --channel {changed.name}, which shows probabilities, but it was {wanted!r}."
        )
    return wanted


def level_of(access: str) -> tuple[str, int | None]:
    """A level and the number behind it: ("topk", 3) of ``topk:3``, ("scores", None) of ``scores``.

    Raises:
        ValueError: a number behind another level, or none behind the colon.
    """
    name, _, k = access.partition(":")
    if k and name != "topk":
        raise ValueError(f"Expected a number of classes after topk only, as in --access topk:3, but it was {access!r}.")
    return name, parse.integer(k, "the number behind --access topk") if k else None


def served(wanted: str, stack: Sequence[Chosen], classes: int) -> tuple[str, list[Chosen], int | None]:
    """How a server shows ``wanted``: the level of its Oracle, the channels around its target, and the classes that an answer lists. For
    top-k the Oracle shows scores, of which one more channel leaves the k largest.

    Raises:
        ValueError: as `level_of`.
    """
    name, k = level_of(wanted)
    if name != "topk":
        return wanted, [*stack], None
    listed = min(5, classes) if k is None else k
    return "scores", [*stack, *read([f"topk:{listed}"])], listed


def shown(model: Any, level: str, returns: str | None = None) -> str:
    """The access level ``level``, or less where the target announces that it shows less; ``returns``: as its user says."""
    import torch

    from blackbox.protocol import Access
    from blackbox.targets.info import info_of
    from blackbox.targets.target import as_target

    if returns == "labels":
        return "labels"
    if isinstance(model, torch.nn.Module):
        return level
    info = info_of(as_target(model))
    shows = Access.LABELS if returns is None and info.returns == "labels" else info.shows
    if shows is None or shows >= Access.parse(level.partition(":")[0]):
        return level
    return f"topk:{info.k}" if shows is Access.TOPK and info.k else shows.name.lower()


def _nothing(x: Any) -> Any:
    """A target that is never queried, to build channels around."""
    return x
