"""How contracts about the input run each registered attack: what its target shows, and in which norm."""

from __future__ import annotations

import blackbox as bb


def shown_to(name: str) -> str:
    """Labels to an attack on labels, logits to the others; also to one name for several searches, of which some need labels alone."""
    cls = bb.attacks.get(name)
    several = cls.settle is not bb.Attack.settle
    return "labels" if cls.access is bb.Access.LABELS and not several else "logits"


def threat_of(name: str, *threats: bb.Threat) -> bb.Threat:
    """The first of the threats whose norm the attack serves."""
    served = bb.attacks.get(name).norms
    return next(threat for threat in threats if threat.norm in served)
