"""The surrogates that attacks are given, and the training answers bought for them."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from blackbox import specs
from blackbox.attacks import takes_prior, with_prior
from blackbox.cli import options, training

if TYPE_CHECKING:
    from blackbox.goals.base import Goal
    from surrogates import Dataset


def serving(known: options.Surrogates, shown: specs.ImageSet, aim: Goal | None) -> None:
    """Refuse surrogates that cannot serve the inputs or the goal. Raises: ValueError."""
    if shown.table is not None and (known.surrogate or known.own):
        option = "--surrogate" if known.surrogate else "--own"
        raise ValueError(
            f"Expected no {option} with --table, whose rows a net of images cannot take, but both were given. A net of scaled columns is "
            "for Python: blackbox.attack(..., table=table, prior=surrogates.prior([net]))."
        )
    from blackbox.protocol import Access

    if known.own and aim is not None and aim.needs is Access.ANSWERS:
        raise ValueError(
            f"Expected either --own, whose nets are trained on classes, or a goal of classes, but the goal was {aim}. Give nets that "
            "return what the target does: --surrogate."
        )


def surrogate_nets(
    attacks: dict[str, Any], words: list[str], own: str | None, shown: specs.ImageSet, classes: int, nets: options.Nets
) -> dict[str, Any]:
    """The nets of ``--surrogate``, by name.

    Raises:
        ValueError: surrogates, or images to train them on, but no attack that takes any; one that is no net, or does not fit.
    """
    if (words or own) and not any(takes_prior(made) for made in attacks.values()):
        raise ValueError(
            f"Expected {'--surrogate' if words else '--own'} with an attack that takes one, {', '.join(with_prior())}, but "
            f"--attack names {', '.join(attacks)}."
        )
    return specs.sources(words, "--surrogate", shown, classes, nets)


def informed(attacks: dict[str, Any], nets: list[Any]) -> dict[str, Any]:
    """The attacks; those that take a prior get the nets as one."""
    if not nets:
        return attacks
    import surrogates as sg

    prior = sg.prior(nets)
    return {n: replace(made, prior=prior) if takes_prior(made) else made for n, made in attacks.items()}


def bought(answers: str, pool: Dataset | None, attacks: dict[str, Any], kept: bool) -> int | None:
    """``--answers``: how many answers to buy for training; None where the option was not given.

    Raises:
        ValueError: no images to query, several attacks, or a run with a checkpoint or journal.
    """
    if answers == "0":
        return None
    if pool is None:
        raise ValueError("Expected --own with --answers, images to ask the target about, but there were none.")
    if len(attacks) > 1:
        raise ValueError(f"Expected one attack with --answers, on whose bill they are, but there were {len(attacks)}.")
    if kept:
        raise ValueError(
            "Expected --answers without --checkpoint and --journal, which would not hold them: they would be paid for again. "
            "Train beforehand: blackbox surrogate, then --surrogate."
        )
    return training.answers(answers, len(pool))


def parameters(attack: Any) -> dict[str, Any]:
    """The hyper-parameters as they will be used; a value that is not plain by its repr."""
    if not is_dataclass(attack) or isinstance(attack, type):
        return {"repr": repr(attack)}
    values = {f.name: getattr(attack, f.name) for f in fields(attack)}
    out = {}
    for name, value in values.items():
        shape = tuple(getattr(value, "shape", ()))
        plain = value is None or isinstance(value, (bool, int, float, str))
        out[name] = value if plain else f"{len(value)} images of {shape[1:]}" if shape else repr(value)
    return out
