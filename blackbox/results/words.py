"""What the numbers of a run are called: with a class to leave or to reach, and with another goal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from blackbox.results.result import AttackResult

HAD_RIGHT = "the target had right"
OPEN = "that did not reach the goal unchanged"


def goal_of(config: Mapping[str, Any]) -> str:
    """The goal that is not one class, in words; empty where it is."""
    return str(config.get("goal") or "")


def sentence(config: Mapping[str, Any]) -> str:
    """What a run was after, as one sentence."""
    if told := goal_of(config):
        return f"Goal: {told}."
    return f"Goal: {'the class asked for' if config.get('targeted') else 'any wrong class'}."


def kind(config: Mapping[str, Any]) -> str:
    """What a run was after, in a few words beside its other settings."""
    return goal_of(config) or ("targeted" if config.get("targeted") else "untargeted")


def same_goal(one: AttackResult, other: AttackResult) -> bool:
    """Whether two runs had the same goal: in the same words, and where they have as many inputs, with the same content."""
    ids = [r.config.get("goal_identity") for r in (one, other)]
    return kind(one.config) == kind(other.config) and (len(one) != len(other) or None in ids or ids[0] == ids[1])


def with_classes(config: Mapping[str, Any]) -> bool:
    """Do classes mean anything in this run? Not where the target answers in another form."""
    return config.get("access") != "answers"


def among(config: Mapping[str, Any], count: str = "") -> str:
    """The denominator of a success rate: ``the 37 inputs that did not reach the goal unchanged``. count: how many, may be empty."""
    many = f"the {count} " if count else ""
    return f"{many}inputs {OPEN}" if goal_of(config) else f"{many}images that {HAD_RIGHT}"


def among_all(results: Sequence[AttackResult], count: str = "") -> str:
    """The same for several runs side by side."""
    goals = {bool(goal_of(r.config)) for r in results}
    if len(goals) < 2:
        return among(results[0].config, count)
    many = f"the {count} " if count else ""
    return f"{many}images that {HAD_RIGHT}, or {OPEN}"


def denominator(config: Mapping[str, Any], count: str = "") -> str:
    """The denominator of a success rate in a line of a summary."""
    return among(config, count) if goal_of(config) else f"images {HAD_RIGHT}"


def rates(result: AttackResult, success: str, withstood: object) -> list[str]:
    """The lines of a summary with the three rates: of the inputs as they were, of attacks that succeeded, and of what is left.

    success: the rate with its denominator. withstood: the rate."""
    if goal := goal_of(result.config):
        return [
            f"goal             {goal}",
            f"unchanged        {result.unchanged}  of all inputs: reached the goal as they were, and were not attacked",
            f"attack success   {success}",
            f"withstood        {withstood}  of all inputs: did not reach the goal, neither unchanged nor attacked",
        ]
    return [
        f"clean accuracy   {result.clean_accuracy}  of all images",
        f"attack success   {success}",
        f"robust accuracy  {withstood}  of all images: right and not fooled",
    ]


def meaning(config: Mapping[str, Any]) -> str:
    """What an input is that did not reach the goal, in brackets, where the goal says so; else empty."""
    said = config.get("goal_open")
    return f" ({said})" if said else ""


def reached(config: Mapping[str, Any]) -> str:
    """What is said of an input whose attack succeeded."""
    return "reaches the goal" if goal_of(config) else "is fooled"


def unit(result: AttackResult) -> str:
    """In what a distance is counted: pixels of a patch or a frame, a norm over scaled columns of a table, a norm."""
    if result.config.get("area"):
        return "pixels"
    return result.threat.norm if result.config.get("table") is None else f"{result.threat.norm} over scaled columns"


def axis(results: Sequence[AttackResult]) -> str:
    """The label of an axis of success rates."""
    return "goal reached, %" if all(goal_of(r.config) for r in results) else "fooled, %"


def columns(result: AttackResult) -> tuple[str, ...]:
    """The columns of a table of outcomes that mean something in this run, in order.

    With a goal that is not one class there is no class to leave or to reach, and a true label only where one was given; of answers that
    are no classes there is no label that the target gave, and no confidence in it.
    """
    none = set()
    if goal_of(result.config):
        none |= {"goal"} | ({"y"} if bool((result.y < 0).all()) else set())
    if not with_classes(result.config):
        none |= {"clean_label", "adv_label", "clean_confidence", "adv_confidence"}
    return tuple(name for name in result.columns() if name not in none)


_END = r"(?![\w/_-]|\.\w)"  # no name of a file
_IMAGE = re.compile(rf"(?<![\w./:_-])([Aa])n (image)(s?){_END}|(?<![\w./:_-])([Ii])mage(s?){_END}")


def kind_of(results: Sequence[AttackResult]) -> str:
    """What the inputs of these runs are called: ``"image"``, ``"row"`` of a table, or ``"input"`` where there are both."""
    return one_kind("image" if r.config.get("table") is None else "row" for r in results)


def one_kind(kinds: Iterable[str]) -> str:
    """One word for inputs of these kinds; ``"image"`` for none."""
    found = set(kinds) or {"image"}
    return found.pop() if len(found) == 1 else "input"


def of_inputs(text: str, kind: str) -> str:
    """A text about images, about what the inputs are called: ``an image`` becomes ``a row``. Names of files stay."""
    if kind == "image":
        return text

    def other(found: re.Match[str]) -> str:
        if found[1]:
            return f"{found[1]}{'n' if kind[0] in 'aeiou' else ''} {kind}{found[3]}"
        return f"{kind[0].upper() if found[4] == 'I' else kind[0]}{kind[1:]}{found[5]}"

    return _IMAGE.sub(other, text)
