"""Analysis: why examples transfer (gradient alignment, directions, factorial designs, rays through the input space)."""

from surrogates.analysis.alignment import Alignment, alignment, gradient_size, loss_variability
from surrogates.analysis.directional import Directional, DirectionalProbe
from surrogates.analysis.factorial import Cell, Decomposition, Factorial, decompose, factorial
from surrogates.analysis.ray import Line, Ray, Region, fgsm_direction, regions, walk

__all__ = [
    "Alignment", "Cell", "Decomposition", "Directional", "DirectionalProbe", "Factorial", "Line", "Ray", "Region",
    "alignment", "decompose", "factorial", "fgsm_direction", "gradient_size", "loss_variability", "regions", "walk",
]  # fmt: skip
