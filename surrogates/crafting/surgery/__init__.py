"""Surgery: changing how a net computes its output or its gradients, without touching its weights."""

from surrogates.crafting.surgery.hooks import bpa, layers, linbp, sgm, tap

__all__ = ["bpa", "layers", "linbp", "sgm", "tap"]
