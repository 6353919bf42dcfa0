"""JSON answers -> labels and scores, by paths into them and by the words for classes."""

from __future__ import annotations

import difflib
import json
import math
from typing import Any, NamedTuple

import numpy as np

from blackbox.protocol import Access
from blackbox.targets.rest.settings import Settings
from blackbox.targets.sums import fractions, most_of

REJECTED = object()
"""Stands for the answer of a request whose status says that it was rejected."""


class Row(NamedTuple):
    """The answer to one image. scores: [C] float32; None where the service names the class alone. rejected: it got none."""

    label: int
    scores: np.ndarray | None
    rejected: bool = False


class Reader:
    """Reads the answers of a service as `Settings` says.

    Raises:
        ValueError: a path that is no JMESPath. ModuleNotFoundError: no jmespath.
    """

    def __init__(self, settings: Settings) -> None:
        self._s = s = settings
        self._each, self._label, self._words, self._scores, self._rejected = (
            _compiled(name, getattr(s, name)) for name in ("each", "label", "words", "scores", "rejected")
        )
        self.rejects = s.rejected is not None or bool(s.rejected_status)
        self._class = {name: i for i, name in enumerate(s.classes)}
        self._class |= {word: self._class[name] for word, name in s.aliases.items()}
        self._scale = 0.01 if s.returns == "percent" else 1.0

    @property
    def shows(self) -> Access:
        """The most that the service shows."""
        if self._scores is None:
            return Access.LABELS
        if self._s.top is not None and self._s.top < len(self._s.classes):
            return Access.TOPK
        return Access.LOGITS if self._s.returns == "logits" else Access.SCORES

    def several(self, answer: Any, m: int) -> list[Any]:
        """The answers for each of the ``m`` images of a request.

        Raises:
            ValueError: another number of them.
        """
        if self._each is None or answer is REJECTED:
            return [answer]
        found = self._each.search(answer)
        if not isinstance(found, list) or len(found) != m:
            came = f"{len(found)} of them" if isinstance(found, list) else _nothing(self._s.each, answer, found)
            raise ValueError(f"Expected a list of {m} answers at each = {self._s.each!r}, one for each image sent, but there was {came}.")
        return found

    def row(self, answer: Any) -> Row:
        """One image's label and scores.

        Raises:
            ValueError: a path that finds nothing, an unknown word, scores that are none, too few or too many of them.
        """
        if answer is REJECTED or (self._rejected is not None and self._rejected.search(answer)):
            return Row(-1, None, True)
        named = None if self._label is None else self._named(answer)
        if self._scores is None:
            assert named is not None
            return Row(named, None)
        scores = self._scores.search(answer)
        if scores is None or scores == []:
            raise ValueError(f"Expected scores at {self._s.scores!r}, but there was {_nothing(self._s.scores, answer, scores)}.")
        if self._words is not None:
            words = self._words.search(answer)
            if words is None or words == []:
                raise ValueError(f"Expected words at {self._s.words!r}, but there was {_nothing(self._s.words, answer, words)}.")
            words, scores = (v if isinstance(v, list) else [v] for v in (words, scores))
            if len(words) != len(scores):
                raise ValueError(f"Expected a score for each word, but there were {len(words)} words and {len(scores)} scores.")
        elif isinstance(scores, dict):
            words, scores = list(scores), list(scores.values())
        elif isinstance(scores, list):
            return self._in_order(scores, named)
        else:
            return self._single(scores, named)
        return self._listed(words, [self._number(v) for v in scores], named)

    def _check(self, values: np.ndarray, named: int | None) -> None:
        """Check that scores [C], zero where none is listed, show a class, and are what `Settings` says or supposes.

        Raises:
            ValueError: all are zero, shares instead of percentages, or they sum to much more than one.
        """
        s = self._s
        if s.returns == "logits":
            return
        total = float(values.sum())
        if named is None and not values.any():
            raise ValueError(
                f"Expected a score above zero at {s.scores!r}, but all were zero, so that no class is shown. If the service names the "
                "class, give its path: label."
            )
        if s.returns == "percent" and fractions(values[None]):
            raise ValueError(
                f"Expected percent, which sum to 100, at {s.scores!r}, but they sum to {100 * total:.3g}. If they are probabilities, "
                'say so: returns = "probabilities".'
            )
        if total > most_of(len(values)) and "returns" not in s.model_fields_set:
            raise ValueError(
                f"Expected probabilities that sum to one at {s.scores!r}, but they sum to {total:.3g}, as independent scores of several "
                'labels do. If they are to be taken as they are, say so: returns = "probabilities".'
            )

    def _listed(self, words: list[Any], scores: list[float], named: int | None) -> Row:
        """From words and their scores. What is not listed shares what is left, as behind a `TopK` channel."""
        s = self._s
        out: dict[int, float] = {}  # by class
        first = None
        for word, score in zip(words, scores, strict=True):
            at = self._at(word)
            if at is None:
                continue
            if at in out:
                raise ValueError(f"Expected each class once, but the answer lists {s.classes[at]!r} twice.")
            out[at] = score
            if first is None or score > out[first]:
                first = at
        hidden = len(s.classes) - len(out)
        least = 1 if s.fewer else len(s.classes) if s.top is None else s.top
        if first is None or len(out) < least:
            raise ValueError(self._too_few(len(out), least))
        self._check(np.array([out.get(at, 0.0) for at in range(len(s.classes))]), named)
        rest = min(max(1 - sum(out.values()), 0.0) / hidden, *out.values()) if hidden else 0.0
        values = np.array([out.get(at, rest) for at in range(len(s.classes))], np.float32)
        return Row(first if named is None else named, values)

    def _too_few(self, count: int, least: int) -> str:
        s = self._s
        lacking = f"Expected predictions for {least} of {len(s.classes)} classes, but the answer lists {count}."
        if s.top is None:
            return f"{lacking} If the service lists the best ones alone, say how many: top = {max(count, 1)}."
        return f"{lacking} If it lists those above a threshold, say so: fewer = true."

    def _in_order(self, scores: list[Any], named: int | None) -> Row:
        if len(scores) != len(self._s.classes):
            raise ValueError(
                f"Expected {len(self._s.classes)} scores at {self._s.scores!r}, one for each of classes in their order, but there were "
                f"{len(scores)}. If they come with words, give their path: words."
            )
        values = np.array([self._number(v) for v in scores], np.float32)
        self._check(values, named)
        return Row(int(values.argmax()) if named is None else named, values)

    def _single(self, score: Any, named: int | None) -> Row:
        """One number: the score of the ``positive`` of two classes."""
        names = self._s.classes
        if len(names) != 2:
            raise ValueError(
                f"Expected {len(names)} scores at {self._s.scores!r}, but there was one number, {_short(score)}. One stands for two "
                "classes only."
            )
        if self._s.positive is None:
            raise ValueError(
                f"Expected to know which of the two classes the one number at {self._s.scores!r}, {_short(score)}, stands for. Say so: "
                f"positive = {_short(names[1])}, or {_short(names[0])}."
            )
        p, yes = self._number(score), names.index(self._s.positive)
        other = 0.0 if self._s.returns == "logits" else 1 - p
        values = np.array([p, other] if yes == 0 else [other, p], np.float32)
        return Row(int(values.argmax()) if named is None else named, values)

    def _named(self, answer: Any) -> int:
        assert self._label is not None
        word = self._label.search(answer)
        word = word[0] if isinstance(word, list) and word else word
        if word is None or word == []:
            raise ValueError(f"Expected a word at {self._s.label!r}, but there was {_nothing(self._s.label, answer, word)}.")
        at = self._at(word)
        if at is None:
            raise ValueError(f"Expected the predicted word to be one of classes, but it was {_short(word)}; it cannot be left out.")
        return at

    def _at(self, word: Any) -> int | None:
        """The class of a word; None where it is to be ignored."""
        text = word if isinstance(word, str) else str(word)
        at = self._class.get(text)
        if at is None and not self._s.ignore_unknown:
            near = difflib.get_close_matches(text, self._class, n=1)
            hint = f" Perhaps {near[0]!r} is meant: aliases = {{{_short(text)} = {_short(near[0])}}}." if near else ""
            raise ValueError(
                f"Expected one of the {len(self._s.classes)} words in classes ({_short(list(self._s.classes))}), but the service said "
                f"{_short(text)}.{hint} Add it to aliases, or leave it out: ignore_unknown = true."
            )
        return at

    def _number(self, value: Any) -> float:
        if isinstance(value, str):  # some services write numbers as text
            try:
                value = float(value.strip().removesuffix("%"))
            except ValueError:
                value = None
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
            raise ValueError(f"Expected scores that are finite numbers at {self._s.scores!r}, but there was {_short(value)}.")
        out = value * self._scale
        if self._s.returns != "logits" and not -1e-3 <= out <= 1 + 1e-3:
            most, other = ("100", "probabilities") if self._s.returns == "percent" else ("1", "percent or logits")
            raise ValueError(
                f"Expected {self._s.returns} from 0 to {most} at {self._s.scores!r}, but there was {_short(value)}. If scores are "
                f"something else, say so: returns, {other}."
            )
        return out


def _compiled(name: str, path: str | None) -> Any:
    """A path, ready to be searched with."""
    if path is None:
        return None
    try:
        import jmespath
    except ImportError:
        raise ModuleNotFoundError(
            "Expected jmespath to be installed, which reads the answers of services, but it is not. Install it: "
            "pip install -e '.[http]'",
            name="jmespath",
        ) from None
    try:
        return jmespath.compile(path)
    except jmespath.exceptions.JMESPathError as error:
        raise ValueError(
            f"Expected {name} to be a JMESPath such as predictions[*].{name} (jmespath.org), but it was {path!r}: "
            f"{' '.join(str(error).split())}"
        ) from None


def _nothing(path: str | None, answer: Any, found: Any) -> str:
    """What is there instead of what a path looks for: the keys of the answer."""
    if found not in (None, []):
        return _short(found)
    what = "an empty list" if found == [] else "nothing"
    if isinstance(answer, dict):
        return f"{what}; the answer has {', '.join(map(str, answer)) or 'no keys'}: {_short(answer)}"
    return f"{what}; the answer is {_short(answer)}"


def _short(value: Any, most: int = 120) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= most else f"{text[:most]} …"
