"""The attacks, a paper a file, and the table that names them. A new attack is one file and one line here."""

from __future__ import annotations

import importlib
from typing import Any

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
    "signhunter": "blackbox.attacks.signhunter:SignHunter",
    "bandits": "blackbox.attacks.bandits:Bandits",
    "parsimonious": "blackbox.attacks.parsimonious:Parsimonious",
    "sparse": "blackbox.attacks.sparse:SparseRS",
    "evolution": "blackbox.attacks.evolution:Evolution",
    "zoo": "blackbox.attacks.zoo:ZOO",
    "hop-skip-jump": "blackbox.attacks.hop_skip_jump:HopSkipJump",
    "geoda": "blackbox.attacks.geoda:GeoDA",
    "qeba": "blackbox.attacks.qeba:QEBA",
    "tangent": "blackbox.attacks.tangent:Tangent",
    "rays": "blackbox.attacks.rays:RayS",
    "sign-flip": "blackbox.attacks.sign_flip:SignFlip",
    "sign-opt": "blackbox.attacks.sign_opt:SignOPT",
    "surfree": "blackbox.attacks.surfree:SurFree",
    "boundary": "blackbox.attacks.boundary:Boundary",
    "p-rgf": "blackbox.attacks.p_rgf:PRGF",
    "simba-ods": "blackbox.attacks.simba_ods:SimBAODS",
    "gfcs": "blackbox.attacks.gfcs:GFCS",
    "bases": "blackbox.attacks.bases:BASES",
    "transfer-start": "blackbox.attacks.transfer_start:TransferStart",
    "hybrid": "blackbox.attacks.hybrid:Hybrid",
    "auto": "blackbox.attacks.auto:Auto",
}


def names() -> list[str]:
    """The registered names."""
    return list(REGISTRY)


def get(name: str) -> Any:
    """The class behind a name.

    Raises:
        ValueError: no attack has this name; suggests the nearest.
    """
    if name not in REGISTRY:
        hint = did_you_mean(name, REGISTRY, cutoff=0.5)
        raise ValueError(f"Expected attack to be one of {', '.join(REGISTRY)}, but it was {name!r}.{hint}")
    module, _, kind = REGISTRY[name].partition(":")
    return getattr(importlib.import_module(module), kind)


def build(name: str, **settings: Any) -> Any:
    """The attack of this name with its paper's defaults, but for ``settings``."""
    return get(name)(**settings)


def takes_prior(attack: Any) -> bool:
    """Whether an attack, or its class, has a prior among its settings."""
    return "prior" in getattr(attack, "__dataclass_fields__", {})


def with_prior() -> list[str]:
    """The names of attacks that take a prior (``build(name, prior=...)``)."""
    return [name for name in REGISTRY if takes_prior(get(name))]


def name_of(attack: Any) -> str:
    """The registered name of an attack, or its class's name for one's own."""
    address = f"{type(attack).__module__}:{type(attack).__qualname__}"
    return next((name for name, where in REGISTRY.items() if where == address), type(attack).__qualname__)


def __getattr__(kind: str) -> Any:
    for where in REGISTRY.values():
        module, _, name = where.partition(":")
        if name == kind:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {kind!r}")
