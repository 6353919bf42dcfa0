"""Threat specs: parse ``linf:8/255``, or ``--norm`` and ``--eps``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.specs import parse
from blackbox.specs.options import Within

if TYPE_CHECKING:
    from blackbox.areas import Area
    from blackbox.threat import Threat

PLACES = ("free", "random")


def kinds() -> dict[str, type[Threat]]:
    """The threat classes by the lower-case name of their norm."""
    from blackbox.threat import Threat

    return {kind.norm.lower(): kind for kind in Threat.__subclasses__()}


def threats(within: Within) -> list[Threat]:
    """Parse ``--norm linf --eps 4/255,8/255`` or ``--threat linf:4/255,8/255``.

    Raises:
        ValueError: no such norm, no radius, or an invalid radius.
    """
    norm, eps = within.norm, within.eps
    if within.threat is not None:
        if norm is not None or eps is not None:
            raise ValueError("Expected either --threat or --norm and --eps, but both were given.")
        norm, _, eps = within.threat.partition(":")
    norm = (norm or "linf").strip().lower().replace("_", "").replace("-", "")
    known = kinds()
    if norm not in known:
        raise ValueError(f"Expected the norm to be one of {', '.join(known)}, but it was {norm!r}.")
    radii = parse.words(eps or "")
    if not radii:
        raise ValueError("Expected a radius, for example --eps 8/255 (images lie in [0, 1]), but none was given.")
    return [known[norm](parse.number(word)) for word in radii]


def one_threat(within: Within, table: bool = False) -> Threat:
    """Parse a single threat; as `threats`, for commands that take only one. table: it is over the scaled columns of one."""
    try:
        found = threats(within)
    except ValueError as error:
        if not table:
            raise
        from blackbox.given import SCALED

        raise ValueError(f"{error} {SCALED}") from None
    if len(found) > 1:
        raise ValueError(f"Expected one eps here, but there were {len(found)}. Run the verb once for each.")
    return found[0]


def area(patch: str | None, frame: int | None, within: Within) -> Area | None:
    """Read ``--patch 8x6@10,4`` or ``--frame 3``; None where neither is given.

    Raises:
        ValueError: both, or one beside a radius; no such size or place.
    """
    if patch is None and frame is None:
        return None
    given = [name for name, value in (("--patch", patch), ("--frame", frame), ("--eps", within.eps), ("--norm", within.norm),
                                      ("--threat", within.threat)) if value is not None]  # fmt: skip
    if len(given) > 1:
        raise ValueError(f"Expected one of --patch, --frame and --eps, but {' and '.join(given)} were given.")
    from blackbox.areas import Frame, Patch

    if frame is not None:
        return Frame(frame)
    assert patch is not None
    size, at, place = patch.lower().partition("@")
    if not all(word.strip().isdigit() for word in size.split("x")):
        raise ValueError(f"Expected --patch as a side, 8, or HEIGHTxWIDTH, 8x6, and its place behind @, but it was {patch!r}.")
    sides = [parse.integer(word, "--patch") for word in size.split("x")]
    if len(sides) > 2:
        raise ValueError(f"Expected --patch as a side, 8, or HEIGHTxWIDTH, 8x6, but it was {patch!r}.")
    corner = tuple(parse.integer(word, "the place of --patch") for word in parse.words(place)) if at and place not in PLACES else None
    if corner is not None and len(corner) != 2:
        raise ValueError(f"Expected the place of --patch as @random or @ROW,COLUMN, but it was {patch!r}.")
    return Patch(sides[0] if len(sides) == 1 else tuple(sides), corner or place or "free")


def read_threat(text: str) -> Threat:
    """``"linf:8/255"`` -> Linf(8/255)."""
    return one_threat(Within(threat=text))
