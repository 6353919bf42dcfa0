"""The conditions of a transfer rate: which images are in its denominator."""

from __future__ import annotations

GIVEN = {
    "all": "of all images, those that the target gets wrong when changed (its clean errors count too)",
    "target-correct": "of the images that the target gets right clean, those that it gets wrong when changed",
    "both-correct": "of the images that source and target get right clean, those that the target gets wrong when changed",
    "source-fooled": "of the images that source and target get right clean and whose change fools the source, those whose "
    "change fools the target too",
}
AMONG = {
    "all": "all images",
    "target-correct": "images the target got right",
    "both-correct": "images source and target got right",
    "source-fooled": "images both got right whose change fools the source",
}
GIVEN_OF_GOAL = {  # where the goal is not a class
    "all": "of all images, those that reach the goal when changed (those that reach it unchanged count too)",
    "target-correct": "of the images that do not reach the goal unchanged on the target, those that reach it when changed",
    "both-correct": "of the images that do not reach the goal unchanged on source or target, those that reach it on the target when "
    "changed",
    "source-fooled": "of the images that do not reach the goal unchanged on source or target and whose change reaches it on the source, "
    "those whose change reaches it on the target too",
}
AMONG_OF_GOAL = {
    "all": "all images",
    "target-correct": "images that do not reach the goal unchanged",
    "both-correct": "images that do not reach it unchanged on source or target",
    "source-fooled": "images that do not reach it unchanged and whose change reaches it on the source",
}
SAME = ("all", "target-correct", "both-correct")  # depend on clean images alone: one denominator for two attacks


def told(given: str, goal: str | None) -> str:
    """What a rate counts, in words. goal: in words, where it is not a class."""
    return GIVEN[given] if goal is None else GIVEN_OF_GOAL[given]


def among(given: str, goal: str | None) -> str:
    """What is in the denominator, in words."""
    return AMONG[given] if goal is None else AMONG_OF_GOAL[given]


def check_given(given: str) -> None:
    """Check that the condition is known."""
    if given not in GIVEN:
        raise ValueError(f"Expected given to be one of {', '.join(GIVEN)}, but it was {given!r}.")


def check_same(given: str) -> None:
    """Check that two attacks, or two radii, have the same images in their denominators under this condition."""
    if given not in SAME:
        raise ValueError(
            f"Expected given to be one of {', '.join(SAME)}, so that both are counted on the same images, but it was {given!r}."
        )
