"""`Back`: gradients at changed points, brought back to the points that were changed."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor


class Back:
    """Changes points, and takes gradients at the changed ones back through the change, first in, first out."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Tensor, Tensor]] = deque()

    def change(self, point: Tensor, f: Callable[[Tensor], Tensor]) -> Tensor:
        """f(point), without graph; the graph is kept until `gradient` has passed it."""
        with torch.enable_grad():
            given = point.detach().requires_grad_()
            self._waiting.append((given, f(given)))
        return self._waiting[-1][1].detach()

    def gradient(self, g: Tensor) -> Tensor:
        """The gradient at the earliest point not yet asked about, of which ``g`` is the gradient at f(point)."""
        given, changed = self._waiting.popleft()
        return torch.autograd.grad(changed, given, g)[0]
