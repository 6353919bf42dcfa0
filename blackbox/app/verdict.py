"""What a position of the slider shows, in one sentence that stands above it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.app.compute import NOISE

if TYPE_CHECKING:
    from blackbox.app.compute import Frame, Said

FOOLED, HALF, HELD = "fooled", "half", "held"  # how the sentence is coloured: it transfers, partly, nothing happened


def of(made: Frame, size: str, name: dict[int, str]) -> tuple[str, str, str]:
    """(tone, headline, sentence below). size: eps in words. name: of the classes that the models name."""
    if made.same:
        return _same(made, size, name)
    return between(made.surrogate, made.target, size, name, made.way, made.eps)


def between(
    own: Said, other: Said, size: str, name: dict[int, str], way: str = "fgsm", eps: float = 1.0
) -> tuple[str, str, str]:
    """As `of`, of two models that are not the same: by their labels alone."""
    if not other.right:
        return HELD, "The hidden target is wrong before any change", f"It says “{name[other.label_before]}”: choose another image."
    if not eps:
        return HELD, "Nothing is changed yet", f"The surrogate says “{name[own.label]}”, the target “{name[other.label]}”. Move the slider."
    if way == NOISE:
        return _chance(other, size, name)
    if not own.right:
        said = f"It says “{name[own.label_before]}”: choose another image."
        if other.fooled:
            return HALF, f"The hidden target is fooled at {size}; the surrogate was wrong before any change", said
        return HELD, "The surrogate is wrong before any change", said
    if other.fooled and own.fooled:
        return (
            FOOLED, f"Both models are fooled at {size}: it transfers",
            f"Made with the surrogate's gradients alone, the change turns “{name[other.label_before]}” into “{name[other.label]}” for "
            "the hidden target too.",
        )  # fmt: skip
    if other.fooled:
        return HALF, f"Only the hidden target is fooled at {size}", "The surrogate that the change was made on still gets it right."
    if own.fooled:
        return HALF, f"Only the surrogate is fooled at {size}: it does not transfer", (
            f"The hidden target still says “{name[other.label]}”. Move the slider, or choose another image."
        )
    return HELD, f"Neither model is fooled at {size}", "Move the slider to the right."


def _same(made: Frame, size: str, name: dict[int, str]) -> tuple[str, str, str]:
    said = made.surrogate
    turned = f"“{name[said.label_before]}” became “{name[said.label]}”" if said.fooled else f"still “{name[said.label]}”"
    tone = FOOLED if said.fooled else HELD
    below = "Surrogate and target are one model, so nothing is transferred. Choose another target to see whether the change transfers."
    return tone, f"This is the same model: a white-box attack. At {size} {turned}", below


def _chance(other: Said, size: str, name: dict[int, str]) -> tuple[str, str, str]:
    if other.fooled:
        return HALF, f"A random change of {size} fools the target", f"It now says “{name[other.label]}”; no gradient was needed."
    return HELD, f"A random change of {size} does not fool the target", "The same size along the surrogate's gradient may: choose FGSM."
