"""``--goal``: what to reach instead of a class.

A goal is written as NAME:SETTINGS; settings are divided by ``;`` and lists by commas. A file of arrays has an entry for each image of the
data set, or for each one attacked, or one for all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.plugins import file_print, is_file
from blackbox.specs import parse
from blackbox.specs.data import ImageSet
from blackbox.specs.goal_files import arrays, each, listed

if TYPE_CHECKING:
    from blackbox.goals.base import Goal

OWN = "label"  # the word for the class that each image has
FORMS = (
    ("none-of:3,5 top 5", "none of these classes is the first, or among the first 5; none-of:label top 5, each image's own class"),
    ("any-of:cat,dog", "one of these classes is the first, or among the first k"),
    ("multilabel:hide=A,B;show=C;threshold=0.5", "of several labels some are hidden, others shown"),
    ("regression:up=0.5;reference=R", "a number moves up, down or either way from R: label (the class's name is a number), FILE.npy, 12.5"),
    ("verification:REFERENCES.npy;threshold=0.6;dodge", "an embedding leaves a reference, or comes near it (impersonate); metric=cosine"),
    ("detection:vanish;references=FILE.json", "boxes vanish, appear or are mislabelled; score=0.5;iou=0.5;label=cat"),
    ("segmentation:MAPS.npy;share=0.5", "a share of the pixels leaves its class in a map, or reaches it (mode=reach)"),
    ("ranking:displace=ID;k=10", "an item leaves the first k of a list, or comes among them (push=ID); scores=true: numbers are scores"),
    ("zero-shot:TEXTS.npz;leave=label", "another text is nearest (arrays texts and embeddings), or a given one (reach=TEXT)"),
    ("file.py:my_goal", "a goal of one's own: a bb.goals.Goal, or a function of an answer"),
)  # fmt: skip


def read_goal(text: str | None, images: ImageSet) -> Goal | None:
    """``"none-of:3,5 top 5"`` -> NoneOf([3, 5], k=5), for these images. None for None.

    Raises:
        ValueError: no such goal, or a setting that it has not; the message lists those that there are.
    """
    if text is None:
        return None
    name, colon, rest = text.strip().partition(":")
    if is_file(text.strip()):
        return _own(text.strip())
    parse.one_of(name, READERS, "--goal")
    if not colon or not rest.strip():
        raise ValueError(f"Expected --goal {usage(name)}, but it was {text!r}.")
    return READERS[name](rest.strip(), images)


def any_form(text: str | None) -> bool:
    """Does a goal, as written, need answers of any form instead of classes? None needs classes."""
    from blackbox.protocol import Access

    if text is None:
        return False
    if is_file(text.strip()):
        return _own(text.strip()).needs is Access.ANSWERS
    return parse.one_of(text.strip().partition(":")[0], READERS, "--goal") not in ("none-of", "any-of")


def usage(name: str) -> str:
    """How a goal is written, by its name."""
    return next(form for form, _ in FORMS if form.partition(":")[0] == name)


# -- the goals -----------------------------------------------------------------------------------------------------------


def _classes(kind: str) -> Callable[[str, ImageSet], Goal]:
    def read(rest: str, images: ImageSet) -> Goal:
        from blackbox import goals

        words, k = among(rest)
        known = images.data.classes
        if words == [OWN] and OWN not in known:
            made: Goal = getattr(goals, kind)(images.data.labels[:, None], k)
        else:
            made = getattr(goals, kind)([_class(word, known) for word in words], k)
        made.name_classes(known)  # type: ignore[attr-defined]
        return made

    return read


def among(rest: str) -> tuple[list[str], int]:
    """``"3,5 top 5"`` -> the words of its classes, and among how many first ones they are looked for."""
    found = re.fullmatch(r"(.*?)(?:\s+top\s*(\d+))?", rest)
    assert found is not None
    return parse.words(found[1]), int(found[2] or 1)


def _class(word: str, known: tuple[str, ...]) -> int:
    if word in known and not word.isdigit():
        return known.index(word)
    if word.isdigit():
        return int(word)
    return known.index(parse.one_of(word, known, "a class of --goal"))


def _multilabel(rest: str, images: ImageSet) -> Goal:
    from blackbox.goals import MultiLabel

    given = _settings(rest, "multilabel", {"hide": "", "show": "", "threshold": "0.5"})
    hide, show = (list(map(_named, parse.words(given[name]))) for name in ("hide", "show"))
    return MultiLabel(hide, show, parse.number(given["threshold"], "threshold"))


def _regression(rest: str, images: ImageSet) -> Goal:
    from blackbox.goals import Regression

    given = _settings(rest, "regression", {"up": "", "down": "", "either": "", "reference": OWN})
    ways = [way for way in ("up", "down", "either") if given[way]]
    if len(ways) != 1:
        raise ValueError(f"Expected one of up, down and either in --goal regression, with an amount, but there were {len(ways)}: {rest!r}.")
    return Regression(_reference(given["reference"], images), parse.number(given[ways[0]], ways[0]), ways[0])


def _reference(text: str, images: ImageSet) -> Any:
    if text == OWN:
        labels = _labels(images)
        try:
            values = np.array([float(name) for name in images.data.classes])
        except ValueError:
            raise ValueError(
                f"Expected reference= in --goal regression, FILE.npy or a number, since the classes of the data ({images.data.classes[0]}, "
                "…) are no numbers to move from."
            ) from None
        return values[labels]
    return each(text, "the reference", images) if text.endswith(".npy") else parse.number(text, "reference")


def _verification(rest: str, images: ImageSet) -> Goal:
    from blackbox.goals import Verification
    from blackbox.goals.verification import METRICS, MODES

    path, more = _file_first(rest)
    given = _settings(
        more, "verification", {"threshold": "", "mode": "impersonate", "metric": "euclidean", "images": ""},
        {**dict.fromkeys(MODES, "mode"), **dict.fromkeys(METRICS, "metric")},
    )  # fmt: skip
    if not given["threshold"]:
        raise ValueError(f"Expected threshold= in --goal {usage('verification')}, but it was {rest!r}.")
    shown = each(given["images"], "the reference images", images) if given["images"] else None
    threshold = parse.number(given["threshold"], "threshold")
    return Verification(each(path, "the references", images), threshold, given["mode"], given["metric"], images=shown)


def _detection(rest: str, images: ImageSet) -> Goal:
    from blackbox.goals import Detection
    from blackbox.goals.detection import MODES

    given = _settings(
        rest, "detection", {"mode": "vanish", "references": "", "score": "0.5", "iou": "0.5", "label": ""}, dict.fromkeys(MODES, "mode")
    )
    found = listed(given["references"], "the references", images) if given["references"] else None
    label = _named(given["label"]) if given["label"] else None
    return Detection(found, given["mode"], parse.number(given["score"], "score"), parse.number(given["iou"], "iou"), label)


def _segmentation(rest: str, images: ImageSet) -> Goal:
    from blackbox.goals import Segmentation
    from blackbox.goals.segmentation import MODES

    path, more = _file_first(rest)
    known = {"share": "0.5", "mode": "leave", "ignore": "255"}
    given = _settings(more, "segmentation", known, dict.fromkeys(MODES, "mode"))
    share, ignore = parse.number(given["share"], "share"), parse.integer(given["ignore"], "ignore")
    return Segmentation(each(path, "the maps", images), share, given["mode"], ignore)


def _ranking(rest: str, images: ImageSet) -> Goal:
    from blackbox.goals import Ranking

    given = _settings(rest, "ranking", {"displace": "", "push": "", "k": "10", "scores": ""})
    said = parse.one_of(given["scores"].lower(), ("true", "false", ""), "scores of --goal ranking")
    kind = {"": None, "true": True, "false": False}[said]
    items = {name: _named(given[name]) for name in ("displace", "push") if given[name]}
    return Ranking(**items, k=parse.integer(given["k"], "k"), scores=kind)


def _zero_shot(rest: str, images: ImageSet) -> Goal:
    from blackbox.goals import ZeroShot

    path, more = _file_first(rest)
    given = _settings(more, "zero-shot", {"leave": "", "reach": ""})
    held = arrays(path, "the texts of --goal")
    if "embeddings" not in held:
        raise ValueError(f"Expected {path} to hold the array embeddings, and texts, but it has {', '.join(held) or 'none'}.")
    embeddings = held["embeddings"]
    texts = held["texts"].tolist() if "texts" in held else None
    if texts is not None and len(texts) != len(embeddings):
        raise ValueError(f"Expected {path} to hold a text for each of {len(embeddings)} embeddings, but there are {len(texts)} texts.")
    chosen: dict[str, Any] = {name: _labels(images) if word == OWN else _named(word) for name, word in given.items() if word}
    return ZeroShot(embeddings if texts is None else dict(zip(map(str, texts), embeddings, strict=True)), **chosen)


def _labels(images: ImageSet) -> np.ndarray:
    """The labels of the images. Raises: ValueError, where the data have none."""
    from surrogates.data.loaders import UNLABELLED

    if images.data.classes == UNLABELLED:
        raise ValueError(f"Expected labels with the data {images.spec}, for {OWN} in --goal, but they have none. Put them into the file.")
    labels: np.ndarray = images.data.labels.numpy()
    return labels


READERS: dict[str, Callable[[str, ImageSet], Goal]] = {
    "none-of": _classes("NoneOf"), "any-of": _classes("AnyOf"), "multilabel": _multilabel, "regression": _regression,
    "verification": _verification, "detection": _detection, "segmentation": _segmentation, "ranking": _ranking, "zero-shot": _zero_shot,
}  # fmt: skip


def _own(text: str) -> Goal:
    """A goal of one's own file: a `Goal`, one made by a function without arguments, or a function of an answer. The file is run when
    it is first asked for, and again when it has changed."""
    return _made(text, Path(text.partition(":")[0]).resolve(), file_print(text))


@lru_cache(maxsize=4)  # it is asked for by each block of a sweep, and whether it needs labels before there are images
def _made(text: str, where: Path, content: str) -> Goal:
    """See `_own`; ``where`` the file lies, and a hash of its ``content``, tell one that was made before."""
    from blackbox.goals import Goal, goal
    from blackbox.specs.python_file import load

    path, _, name = text.partition(":")
    made = load(Path(path), name)[0]
    if isinstance(made, Goal):
        return made
    if not callable(made) or isinstance(made, type):
        raise ValueError(
            f"Expected {text} to be a goal, or a function of an answer, which makes one, but it was {made!r:.60}. Return "
            "bb.goal(function), or one of bb.goals."
        )
    return goal(made)


# -- their settings ------------------------------------------------------------------------------------------------------


def _file_first(rest: str) -> tuple[str, str]:
    """``"FILE.npy;share=0.5,reach"`` -> the path, and the settings behind it."""
    path, *more = re.split(r"[;,]", rest)
    return path, ";".join(more)


def _named(word: str) -> int | str:
    """What a word names: a number where it is one."""
    return int(word) if word.isdigit() else word


def _settings(text: str, name: str, known: dict[str, str], words: dict[str, str] | None = None) -> dict[str, str]:
    """``"vanish;score=0.6"`` as settings with their defaults. words: which may stand alone, and of which setting each is a value."""
    out = dict(known)
    for part in filter(None, map(str.strip, text.split(";"))):
        key, equals, value = (each.strip() for each in part.partition("="))
        if not equals and key in (words or {}):
            assert words is not None
            key, value = words[key], key
        elif not equals or key not in known:
            said = parse.one_of(key, [*known, *(words or {})], f"a setting of --goal {name}")
            raise ValueError(f"Expected {said}=VALUE in --goal {usage(name)}, but it was {part!r}.")
        out[key] = value
    return out
