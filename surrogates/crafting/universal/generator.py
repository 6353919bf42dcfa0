"""Generative adversarial perturbations: Poursaeed, Katsman, Gao & Belongie 2018, arXiv:1712.02328, section 3.1."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from surrogates.crafting.universal.images import Images
from surrogates.nets.seeded import seeded

_WIDTH = 32


class Generator(nn.Module):
    """Maps a fixed random pattern [1, \\*shape] to a change within [-1, 1]: two convolutions, a residual block and one more
    convolution; of what is no image, two linear layers in place of them."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        c = shape[0]
        if len(shape) == 3:
            self.first: nn.Module = nn.Sequential(
                nn.Conv2d(c, _WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), nn.ReLU()
            )
            self.inner: nn.Module = nn.Sequential(
                nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1), nn.ReLU(), nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1)
            )
            self.last: nn.Module = nn.Conv2d(_WIDTH, c, 3, padding=1)
        else:
            wide = 4 * _WIDTH
            self.first = nn.Sequential(nn.Flatten(), nn.Linear(torch.Size(shape).numel(), wide), nn.ReLU())
            self.inner = nn.Linear(wide, wide)
            self.last = nn.Sequential(nn.Linear(wide, torch.Size(shape).numel()), nn.Unflatten(1, shape))

    def forward(self, z: Tensor) -> Tensor:
        h = self.first(z)
        out: Tensor = self.last(h + self.inner(h))
        return (2 * out / out.square().mean().sqrt().clamp_min(1e-12)).tanh()  # of a fixed size, or all would soon be +-1


def generator(images: Images, epochs: int, batch: int, rate: float) -> Tensor:
    """Train a generator by Adam so that its one output, scaled to the threat, raises the mean loss; return the output of the epoch that
    fools most images.

    Chosen here: a generator of a few layers in place of the paper's ResNet, its outputs of a fixed size before the tanh; Adam at
    ``rate``; and the clipped loss in place of its logarithm (a factor that Adam takes out again). Linf: the output times eps; L2, L1:
    scaled to the length eps.
    """
    with seeded(images.seed):
        net, z = Generator(images.shape), torch.rand(1, *images.shape)
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    best, most, k = torch.zeros(images.shape), -1.0, 0
    for epoch in range(epochs):
        for who in images.batches(epoch, batch):
            with torch.enable_grad():
                change = _scaled(net(z)[0], images)
                g = images.gradient(change.detach(), who, k).cpu()
                optimiser.zero_grad()
                change.backward(-g)
            optimiser.step()
            k += 1
        with torch.no_grad():
            change = images.project(_scaled(net(z)[0], images))
        share = float(images.fooled(change).mean())
        if share >= most:
            best, most = change, share
    return best


def _scaled(out: Tensor, images: Images) -> Tensor:
    threat = images.threat
    if images.pasted:
        return threat.lower + (threat.upper - threat.lower) * (out + 1) / 2
    if images.mask is not None:
        out = out * images.mask.to(out)
    if threat.norm == "Linf":
        return out * threat.eps
    length = out.norm() if threat.norm == "L2" else out.abs().sum()
    return out * (threat.eps / length.clamp_min(1e-12))
