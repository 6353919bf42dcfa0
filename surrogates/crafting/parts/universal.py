"""SU: a change that does for a piece of the image what it does for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from blackbox.rowwise import row_dot, row_norm
from surrogates.crafting.goal import Goal
from surrogates.crafting.parts.base import Parts
from surrogates.crafting.parts.draws import Draw
from surrogates.crafting.parts.features import FeatureLoss
from surrogates.crafting.parts.fusion import Answer
from surrogates.crafting.parts.losses import own
from surrogates.crafting.parts.views import View

if TYPE_CHECKING:
    from surrogates.crafting.parts.walk import Walk


@dataclass(frozen=True)
class Local(View):
    """Two copies: the image; and its change laid over a crop of the clean image that is blown up to full size.

    Wei et al. 2023, arXiv:2209.03716 (CVPR): crops of a tenth of the area, sides in a ratio between 3:4 and 4:3. For the
    loss `SelfUniversality`, which knows the clean image.
    """

    area: float = 0.1
    copies = 2
    fuse = "logits"

    def __call__(self, x: Tensor, draw: Draw) -> Tensor:
        clean, u = draw.goal.guide[0], draw.uniform("local", 3).to(x)
        ratio = torch.exp((2 * u[:, 0] - 1) * torch.log(torch.tensor(4 / 3)).to(x)).sqrt()
        height, width = (self.area**0.5 * ratio).clamp_max(1), (self.area**0.5 / ratio).clamp_max(1)
        theta = torch.zeros(len(x), 2, 3).to(x)
        theta[:, 0, 0], theta[:, 1, 1] = width, height
        theta[:, 0, 2], theta[:, 1, 2] = (2 * u[:, 1] - 1) * (1 - width), (2 * u[:, 2] - 1) * (1 - height)
        grid = F.affine_grid(theta, list(x.shape), align_corners=False)
        piece = F.grid_sample(clean, grid, mode="bilinear", padding_mode="border", align_corners=False)
        return torch.where(draw.copy.to(x.device).view(-1, 1, 1, 1) == 1, x - clean + piece, x)

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        super().check(parts, shape, nets)
        if not isinstance(parts.one("loss"), SelfUniversality):
            raise ValueError(
                f"Expected the loss SelfUniversality beside {self}, but there was {parts.one('loss') or 'none'}. Join both."
            )


@dataclass(frozen=True)
class SelfUniversality(FeatureLoss):
    """The target's logit for the whole image plus that for the piece, plus ``weight`` times the cosine of their features.

    Wei et al. 2023, arXiv:2209.03716, "Enhancing the self-universality for transferable targeted attacks" (CVPR): 1e-3.
    """

    weight: float = 1e-3
    targeted_only = True

    def prepare(self, walk: Walk) -> tuple[Tensor, ...]:
        return (walk.x0,)

    def __call__(self, answer: Answer, goal: Goal) -> Tensor:
        assert answer.feature is not None
        whole, piece = answer.feature[::2].flatten(1), answer.feature[1::2].flatten(1)
        cosine = row_dot(whole, piece) / (row_norm(whole) * row_norm(piece)).clamp_min(1e-12)
        return 2 * own(answer.scores, goal) + self.weight * cosine  # the scores are means over whole and piece

    def check(self, parts: Parts, shape: tuple[int, ...], nets: int) -> None:
        views = [view for view in parts.all("view") if view.copies > 1]
        if len(views) != 1 or not isinstance(views[0], Local):
            raise ValueError(
                f"Expected {self} beside Local, and beside no other view with several copies, but there were "
                f"{', '.join(map(str, views)) or 'none'}. Join SelfUniversality() | Local() | Tap()."
            )
        super().check(parts.without("view"), shape, nets)
