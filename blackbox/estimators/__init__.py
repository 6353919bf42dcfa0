"""Gradients from queries: each estimator is a frozen dataclass of settings, one idea a file.

    g = yield from estimator.estimate(t, x, k)        # [n, *shape], of the loss; attacks ascend
    estimator.plan(shape)                             # the queries that costs a row, before it runs

    Coordinates   one pixel at a time                     exact where the target is linear
    Groups        pixels in random groups                 Bhagoji et al. 2018, random grouping; coarse to fine
    Subspace      any orthonormal basis: PCA, DCT, tiles  Bhagoji et al. 2018, PCA
    Gaussian      random directions: RGF, NES             unbiased, also beside the box's edges
    Rademacher    random signs: SPSA                      unbiased, also beside the box's edges
    PriorGuided   a guess mixed into random directions    P-RGF: for a surrogate's gradient, say

Not of this form, since it learns from whatever was asked: `LinearMap`, a Bayesian linear regression of answers on changes, with
`gram_of` their covariances and `Smooth` what a gradient is like before the first.
"""


from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.lazy import lazy

_WHERE = {
    "Estimator": "blackbox.estimators.probes",
    "Progressive": "blackbox.estimators.probes",
    "radius": "blackbox.estimators.probes",
    "Coordinates": "blackbox.estimators.coordinate",
    "Groups": "blackbox.estimators.groups",
    "PriorGuided": "blackbox.estimators.prior",
    "Subspace": "blackbox.estimators.subspace",
    "Gaussian": "blackbox.estimators.gaussian",
    "Rademacher": "blackbox.estimators.spsa",
    "LinearMap": "blackbox.estimators.linear_map",
    "gram_of": "blackbox.estimators.answers",
    "Smooth": "blackbox.proposals.smooth",
}

__all__ = [*_WHERE]

if TYPE_CHECKING:
    from blackbox.estimators.answers import gram_of
    from blackbox.estimators.coordinate import Coordinates
    from blackbox.estimators.gaussian import Gaussian
    from blackbox.estimators.groups import Groups
    from blackbox.estimators.linear_map import LinearMap
    from blackbox.estimators.prior import PriorGuided
    from blackbox.estimators.probes import Estimator, Progressive, radius
    from blackbox.estimators.spsa import Rademacher
    from blackbox.estimators.subspace import Subspace
    from blackbox.proposals.smooth import Smooth

__getattr__, __dir__ = lazy(__name__, _WHERE)
