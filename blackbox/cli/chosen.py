"""The attacks that ``--attack`` and ``--set`` name, and the nets that they are given."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from blackbox.cli import options, training
from blackbox.specs import parse, specs

if TYPE_CHECKING:
    from surrogates import Dataset


def build(names: str, pairs: list[str]) -> dict[str, Any]:
    """The attacks of ``"square,nes"`` with the settings of ``--set``: ``p_init=.1``, or ``square.p_init=.1``.

    ``images=`` may be a data spec, of which the attacker's part is read.

    Raises:
        ValueError: no name, one that is not known or is there twice, or a setting that is nobody's.
    """
    from blackbox import attacks

    found = parse.words(names)
    kinds = {name: attacks.get(name) for name in found}
    if not found or len(kinds) < len(found):
        raise ValueError(f"Expected --attack to name one attack, or several different ones, but it was {names!r}.")
    mine: dict[str, list[str]] = {name: [] for name in kinds}
    for pair in pairs:
        name, dot, _ = pair.partition("=")[0].partition(".")
        if dot and name in kinds:
            mine[name].append(pair[len(name) + 1 :])
        elif dot or len(kinds) > 1:
            raise ValueError(
                f"Expected --set ATTACK.NAME=VALUE with ATTACK one of {', '.join(kinds)}, but it was {pair!r}."
            )
        else:
            mine[found[0]].append(pair)
    made = {}
    for name, kind in kinds.items():
        values = parse.settings(kind, mine[name])
        spec = values.get("images")
        if isinstance(spec, str) and not spec.endswith(".npz"):
            values["images"] = specs.own(spec).images
        made[name] = kind(**values)
    return made


def surrogate_nets(
    attacks: dict[str, Any], words: list[str], own: str | None, shown: specs.Images, classes: int, nets: options.Nets
) -> dict[str, Any]:
    """The nets of ``--surrogate``, by name.

    Raises:
        ValueError: surrogates, or images to train them on, but no attack that takes any; one that is no net, or does not fit.
    """
    from blackbox.attacks import with_prior

    if (words or own) and not any(name in with_prior() for name in attacks):
        raise ValueError(
            f"Expected {'--surrogate' if words else '--own'} with an attack that takes one, {', '.join(with_prior())}, but "
            f"--attack names {', '.join(attacks)}."
        )
    return specs.sources(words, "--surrogate", shown, classes, nets)


def informed(attacks: dict[str, Any], nets: list[Any]) -> dict[str, Any]:
    """The attacks, those that take a prior with the nets as one. A result's bill is of its own run."""
    if not nets:
        return attacks
    import surrogates as sg
    from blackbox.attacks import with_prior

    prior, takers = sg.prior(nets), with_prior()
    return {n: replace(made, prior=prior) if n in takers else made for n, made in attacks.items()}


def bought(answers: str, pool: Dataset | None, attacks: dict[str, Any], kept: bool) -> int | None:
    """``--answers``: how many answers to buy for training; None where the option was not given.

    Raises:
        ValueError: nothing to ask about, several attacks (whose bill?), or a run that is to go on after a kill.
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
    """The hyper-parameters as they will be used; whatever is no plain value by its own description."""
    if not is_dataclass(attack) or isinstance(attack, type):
        return {"repr": repr(attack)}
    values = {f.name: getattr(attack, f.name) for f in fields(attack)}
    out = {}
    for name, value in values.items():
        shape = tuple(getattr(value, "shape", ()))
        plain = value is None or isinstance(value, (bool, int, float, str))
        out[name] = value if plain else f"{len(value)} images of {shape[1:]}" if shape else repr(value)
    return out
