"""Crafting: adversarial examples from the gradients of nets that one owns."""

from surrogates.crafting.ascent import ascend
from surrogates.crafting.craft import craft
from surrogates.crafting.goal import Goal, Pool
from surrogates.crafting.gradients import Autograd, Gradient
from surrogates.crafting.minimum_norm import MinimumNorm
from surrogates.crafting.presets import Preset
from surrogates.crafting.prior import prior
from surrogates.crafting.queried import Queried

__all__ = ["Autograd", "Goal", "Gradient", "MinimumNorm", "Pool", "Preset", "Queried", "ascend", "craft", "prior"]
