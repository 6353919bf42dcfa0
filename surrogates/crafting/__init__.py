"""Crafting: adversarial examples from the gradients of nets you own.

    craft         the function to call: a preset or parts, nets, images -> adversarial examples
    ceiling       several attacks one after the other: what a net keeps of its accuracy
    presets/      published recipes as data: which parts, which settings
    parts/        the components of the loop: losses, views, probes, momentum, ensembles
    ascent        the loop itself, with `blackbox.ascent`
    gradients     where a gradient comes from: autograd through nets; `queried` from a target's answers
    surgery/      a net changed for crafting: hooks, and edits of its graph
    minimum_norm/ the nearest adversarial example instead of the worst within eps
    universal/    one change for all images: ascent, sums of minimal changes, a generator
    prior         nets as the prior knowledge of a query attack
"""

from surrogates.crafting.ascent import ascend
from surrogates.crafting.ceiling import Ceiling, ceiling
from surrogates.crafting.craft import craft
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.gradients import Autograd, Gradient
from surrogates.crafting.minimum_norm import MinimumNorm
from surrogates.crafting.presets import Preset
from surrogates.crafting.prior import prior
from surrogates.crafting.queried import Queried
from surrogates.crafting.universal import universal, universal_prior

__all__ = [
    "Autograd", "Ceiling", "Goal", "Gradient", "MinimumNorm", "Pool", "Preset", "Queried", "ascend", "ceiling", "craft", "prior",
    "universal", "universal_prior",
]  # fmt: skip
