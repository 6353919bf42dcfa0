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
SAME = ("all", "target-correct", "both-correct")  # depend on clean images alone: one denominator for two attacks


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
