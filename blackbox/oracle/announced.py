"""Checks an oracle's settings against what its target says of itself."""

from __future__ import annotations

from typing import Any

from blackbox.channels.channel import Channel
from blackbox.protocol import Access, AccessError
from blackbox.targets.info import TargetInfo


def check_announced(info: TargetInfo, access: Access, classes: int, k: int, returns: str) -> None:
    """Check an oracle's settings against what its target announces, before any query.

    Raises:
        ValueError: other classes, a longer list, or another kind of answer. AccessError: the target shows less.
    """
    if info.returns is not None and returns not in ("auto", info.returns, "percent" if info.returns == "probabilities" else ""):
        raise ValueError(
            f"Expected returns to be {info.returns!r}, which is what {info.name} returns, but it was {returns!r}."
        )
    if info.classes is not None and info.classes != classes:
        raise ValueError(
            f"Expected classes={info.classes}, the number that {info.name} has, but it was {classes}"
            f"{', which is assumed where none is given' if classes == 10 else ''}. "
            f"(On the command line, where the data decide: --classes {info.classes}, or --class-names FILE where folders are the "
            "classes.)"
        )
    if info.shows is None or access is Access.ANSWERS:
        return
    if access > info.shows:
        most = f"{info.shows.name.lower()}:{info.k}" if info.k else info.shows.name.lower()
        raise AccessError(
            f"Expected access to {info.shows.name.lower()} at most, which is what {info.name} shows, but it was "
            f"{access.name.lower()}. (On the command line: --access, or --levels, {most}.)"
        )
    if access is info.shows is Access.TOPK and info.k is not None and k > info.k:
        raise ValueError(f"Expected k of at most {info.k}, which is what {info.name} lists, but it was {k}.")


def told_form(target: Any, any_form: bool) -> Any:
    """The ``target``, when it and what stands before it have been told whether its answers are of any form, or of classes.

    Raises:
        ValueError: something changes scores of classes, and answers are of any form.
    """
    each: Any = target
    while each is not None:
        if any_form and getattr(each, "of_classes", False):
            raise ValueError(
                f"Expected nothing before answers of any form that changes scores of classes, but there was {each}. Leave it out, or let "
                "the target change its answers itself."
            )
        if isinstance(each, Channel):
            each.any_form = any_form
        elif any_form and hasattr(each, "any_form"):
            each.any_form = True
        each = getattr(each, "inner", None)
    return target
