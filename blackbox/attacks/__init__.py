"""The attacks, a paper a file, and the table that names them. A new attack is one file and one line here."""

from __future__ import annotations

import importlib
from dataclasses import Field, fields, is_dataclass, replace
from typing import Any

from blackbox import plugins
from blackbox.plain_text import did_you_mean

REGISTRY: dict[str, str] = {
    "fd-fgsm": "blackbox.attacks.fd_fgsm:FDFGSM",
    "fd-ifgsm": "blackbox.attacks.fd_ifgsm:FDIFGSM",
    "nes": "blackbox.attacks.nes:NES",
    "nes-partial": "blackbox.attacks.nes_partial:PartialNES",
    "nes-labels": "blackbox.attacks.nes_partial:LabelNES",
    "spsa": "blackbox.attacks.spsa:SPSA",
    "zo-signsgd": "blackbox.attacks.zo_signsgd:ZOSignSGD",
    "simba": "blackbox.attacks.simba:SimBA",
    "square": "blackbox.attacks.square:Square",
    "ripples": "blackbox.attacks.ripples:Ripples",
    "bayes-linear": "blackbox.attacks.bayes_linear:BayesLinear",
    "ripples-linear": "blackbox.attacks.ripples_linear:RipplesLinear",
    "signhunter": "blackbox.attacks.signhunter:SignHunter",
    "bandits": "blackbox.attacks.bandits:Bandits",
    "parsimonious": "blackbox.attacks.parsimonious:Parsimonious",
    "sparse": "blackbox.attacks.sparse:SparseRS",
    "patch-rs": "blackbox.attacks.patch_rs:PatchRS",
    "evolution": "blackbox.attacks.evolution:Evolution",
    "zoo": "blackbox.attacks.zoo:ZOO",
    "bo": "blackbox.attacks.bo:BO",
    "hop-skip-jump": "blackbox.attacks.hop_skip_jump:HopSkipJump",
    "geoda": "blackbox.attacks.geoda:GeoDA",
    "qeba": "blackbox.attacks.qeba:QEBA",
    "tangent": "blackbox.attacks.tangent:Tangent",
    "cgba": "blackbox.attacks.cgba:CGBA",
    "cgba-h": "blackbox.attacks.cgba:CGBAH",
    "ttba": "blackbox.attacks.ttba:TtBA",
    "rays": "blackbox.attacks.rays:RayS",
    "adba": "blackbox.attacks.adba:ADBA",
    "pointwise": "blackbox.attacks.pointwise:Pointwise",
    "sign-flip": "blackbox.attacks.sign_flip:SignFlip",
    "sign-opt": "blackbox.attacks.sign_opt:SignOPT",
    "surfree": "blackbox.attacks.surfree:SurFree",
    "ars-opt": "blackbox.attacks.ars_opt:ARSOPT",
    "boundary": "blackbox.attacks.boundary:Boundary",
    "opt": "blackbox.attacks.opt:OPT",
    "stealthy-rays": "blackbox.attacks.stealthy_rays:StealthyRayS",
    "stealthy-opt": "blackbox.attacks.stealthy_opt:StealthyOPT",
    "stealthy-hop-skip-jump": "blackbox.attacks.stealthy_hop_skip_jump:StealthyHopSkipJump",
    "p-rgf": "blackbox.attacks.p_rgf:PRGF",
    "simba-ods": "blackbox.attacks.simba_ods:SimBAODS",
    "gfcs": "blackbox.attacks.gfcs:GFCS",
    "bases": "blackbox.attacks.bases:BASES",
    "p-bo": "blackbox.attacks.p_bo:PBO",
    "greedy-pixel": "blackbox.attacks.greedy_pixel:GreedyPixel",
    "prior-opt": "blackbox.attacks.prior_opt:PriorOPT",
    "pars-opt": "blackbox.attacks.pars_opt:PARSOPT",
    "transfer-start": "blackbox.attacks.transfer_start:TransferStart",
    "oars": "blackbox.attacks.oars:OARS",
    "averaged": "blackbox.attacks.averaged:Averaged",
    "both-ways": "blackbox.attacks.both_ways:BothWays",
    "hybrid": "blackbox.attacks.hybrid:Hybrid",
    "auto": "blackbox.attacks.auto:Auto",
}


GROUP = "blackbox.attacks"


def names() -> list[str]:
    """The registered names, and those that installed packages add (`blackbox.plugins`)."""
    return [*REGISTRY, *(name for name in plugins.plugins(GROUP) if name not in REGISTRY)]


def get(name: str) -> Any:
    """The class behind a name; ``file.py:Mine`` is a class, or an attack with its settings, in a file of one's own.

    Raises:
        ValueError: no attack has this name; suggests the nearest. FileNotFoundError: no such file.
    """
    if name in REGISTRY:
        module, _, kind = REGISTRY[name].partition(":")
        return getattr(importlib.import_module(module), kind)
    if plugins.is_file(name):
        return _checked(plugins.from_file(name, "an attack"), name)
    if (entry := plugins.plugins(GROUP).get(name)) is not None:
        return _checked(plugins.load(entry), name)
    known = names()
    raise ValueError(
        f"Expected attack to be one of {', '.join(known)}, or file.py:Class, but it was {name!r}.{did_you_mean(name, known, cutoff=0.5)}"
    )


def _checked(kind: Any, name: str) -> Any:
    if all(hasattr(kind, part) for part in ("access", "norms", "init", "step")):
        return kind
    raise ValueError(
        f"Expected {name} to be an attack, a class that inherits from blackbox.Attack or an object of one, but it was {kind!r:.80}."
    )


def build(name: str, **settings: Any) -> Any:
    """The attack of this name with its paper's defaults, but for ``settings``."""
    kind = get(name)
    if isinstance(kind, type):
        return kind(**settings)
    return replace(kind, **settings) if settings else kind


def print_of(name: str) -> str:
    """A hash of the file of ``file.py:Mine``, the package and version of a package's attack, "" for our own."""
    return "" if name in REGISTRY else plugins.print_of(name, GROUP)


def fields_of(kind: Any) -> tuple[Field[Any], ...]:
    """The settings of an attack's class, or of an attack; none where it is no dataclass."""
    return fields(kind) if is_dataclass(kind) else ()


def takes_prior(attack: Any) -> bool:
    """Whether an attack, or its class, has a prior among its settings."""
    return "prior" in getattr(attack, "__dataclass_fields__", {})


def with_prior() -> list[str]:
    """The names of attacks that take a prior (``build(name, prior=...)``)."""
    return [name for name in REGISTRY if takes_prior(get(name))]


def name_of(attack: Any) -> str:
    """The registered name of an attack, or its class's name for one's own."""
    from blackbox.adopted import Adopted  # late: it imports torch

    kind = type(attack.own if isinstance(attack, Adopted) else attack)
    address = f"{kind.__module__}:{kind.__qualname__}"
    if (own := next((name for name, where in REGISTRY.items() if where == address), None)) is not None:
        return own
    added = plugins.plugins(GROUP).items()
    return next((name for name, entry in added if entry.value == address), kind.__qualname__)


def __getattr__(kind: str) -> Any:
    for where in REGISTRY.values():
        module, _, name = where.partition(":")
        if name == kind:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {kind!r}")
