"""Minimum-norm crafting: the nearest adversarial example instead of the worst one within eps.

from surrogates.minimum_norm import amplify, carlini_wagner, deepfool, jsma, lbfgs

found = lbfgs(net, x, y)                       # Szegedy et al. 2013; target=labels to reach a class
found.x_adv, found.success, found.distance, found.rms(x), found.gradients
stronger = amplify(found.x_adv, x, rms=0.1)    # the same directions at one distortion (Szegedy's table 4)
"""

from surrogates.crafting.minimum_norm.amplify import amplify
from surrogates.crafting.minimum_norm.carlini_wagner import carlini_wagner
from surrogates.crafting.minimum_norm.core import MinimumNorm
from surrogates.crafting.minimum_norm.deepfool import deepfool
from surrogates.crafting.minimum_norm.jsma import jsma
from surrogates.crafting.minimum_norm.lbfgs import lbfgs

__all__ = ["MinimumNorm", "amplify", "carlini_wagner", "deepfool", "jsma", "lbfgs"]
