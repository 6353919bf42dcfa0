"""Universal perturbations and patches from nets you own: one change for all images, by one of three methods.

    sgd        minibatch ascent on the mean loss (Shafahi et al. 2020, arXiv:1811.11304); patches: Brown et al. 2017, arXiv:1712.09665
    uap        sums of minimal changes (Moosavi-Dezfooli et al. 2017, arXiv:1610.08401)
    generator  a network makes the change (Poursaeed et al. 2018, arXiv:1712.02328)
"""

from __future__ import annotations

from surrogates.crafting.universal.make import METHODS, universal
from surrogates.crafting.universal.prior import universal_prior

__all__ = ["METHODS", "universal", "universal_prior"]
