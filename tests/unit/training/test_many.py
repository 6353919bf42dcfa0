"""Many surrogates of one net: what each kind changes, what the budget is, and weights that are fitted without a gradient."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import blackbox as bb
import surrogates as sg
from surrogates.training.many import removable

DRAWS = np.random.default_rng(2)
LABELS = torch.arange(48) % 3
IMAGES = torch.tensor(DRAWS.uniform(size=(48, 3, 6, 6)), dtype=torch.float32) * 0.5
IMAGES[torch.arange(48), LABELS] += 0.4
DATA = sg.Dataset(IMAGES, LABELS, ("a", "b", "c"))


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(10, 10, 3, padding=1), nn.BatchNorm2d(10)

    def forward(self, x: Tensor) -> Tensor:
        return (x + self.norm(self.conv(x))).relu()


class Net(nn.Module):
    """Two blocks between a convolution and a linear layer."""

    def __init__(self, blocks: int = 2) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.front, self.body, self.last = nn.Conv2d(3, 10, 3), nn.Sequential(*(Block() for _ in range(blocks))), nn.Linear(10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.body(self.front(x).relu()).mean((2, 3)))


def silent(net: nn.Module) -> list[int]:
    return [int((layer.weight.flatten(1) == 0).all(1).sum()) for layer in net.modules() if isinstance(layer, (nn.Conv2d, nn.Linear))]


def test_each_kind_changes_what_it_says_within_the_budget() -> None:
    net = Net().eval()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    made = sg.many(net, DATA, 11, epochs=17, seed=1)
    assert made.kinds == ["as it is", *2 * ["snapshots", "sub-networks", "augmented", "width", "depth"]] and made.nets[0] is net
    assert made.epochs == 16 and len(made) == len(made.seconds) == 11 and "2 depth" in made.summary()
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    by = {kind: [n for n, k in zip(made.nets, made.kinds, strict=True) if k == kind] for kind in made.kinds}
    assert [silent(n) for n in by["sub-networks"]] == [[1, 1, 1, 0]] * 2  # a tenth of ten channels, and the last layer whole
    assert [silent(n) for n in by["width"]] == [[2, 2, 2, 0], [3, 3, 3, 0]]  # also after it was trained again
    assert [isinstance(part, nn.Identity) for n in by["depth"] for part in n.body] == [True, False, True, False]
    outs = torch.stack([n(IMAGES).detach() for n in made.nets])
    assert len({tuple(out.flatten().tolist()) for out in outs}) >= 10  # of two blocks the same one is left out twice, trained otherwise
    again = sg.many(net, DATA, 11, epochs=17, seed=1)
    assert all(torch.equal(a(IMAGES), b(IMAGES)) for a, b in zip(made.nets, again.nets, strict=True))


def test_blocks_that_can_be_left_out_are_found() -> None:
    assert removable(Net(), IMAGES[:1]) == ["body.0", "body.1"]
    plain = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Flatten(), nn.Linear(108, 3))
    assert removable(plain, IMAGES[:1]) == ["0"]
    flat = nn.Sequential(nn.Flatten(), nn.Linear(108, 3)).eval()
    assert "depth" not in sg.many(flat, DATA, 6, epochs=5).kinds
    with pytest.raises(ValueError, match="Leave 'depth' out"):
        sg.many(flat, DATA, 2, epochs=1, kinds=["depth"])


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 4 epochs for 6 nets, 4 of which"):
        sg.many(Net(), DATA, 6, epochs=3)
    with pytest.raises(ValueError, match="kinds among snapshots"):
        sg.many(Net(), DATA, 2, kinds=["deeper"])
    assert sg.many(Net().eval(), DATA, 3, epochs=1, kinds=["sub-networks"]).epochs == 0


class Fixed(nn.Module):
    """Probabilities that are the same for every image, as logits."""

    def __init__(self, *p: float) -> None:
        super().__init__()
        self.z = nn.Parameter(torch.tensor(p).log())

    def forward(self, x: Tensor) -> Tensor:
        return self.z + 0 * x.flatten(1).sum(1, keepdim=True)


def test_weights_are_the_likeliest_mixture() -> None:
    nets = [Fixed(0.8, 0.1, 0.1), Fixed(0.1, 0.8, 0.1)]
    hidden = Fixed(0.8 * 0.7 + 0.1 * 0.3, 0.1 * 0.7 + 0.8 * 0.3, 0.1)  # seven tenths of the first
    assert sg.weigh(nets, hidden, IMAGES, alike=0) == pytest.approx((0.7, 0.3), abs=1e-4)
    answers = sg.ask(bb.Oracle(hidden, "scores", 3), IMAGES, 20)
    assert sg.weigh(nets, answers, alike=0) == pytest.approx((0.7, 0.3), abs=1e-4)
    told = sg.ask(bb.Oracle(hidden, "labels", 3), IMAGES, 20)
    first = sg.weigh(nets, told)
    w = first[0]  # half of its share of the answers, and half of the votes that are spread evenly
    assert w == pytest.approx(0.5 * 0.8 * w / (0.8 * w + 0.1 * (1 - w)) + 0.25) and sum(first) == pytest.approx(1)
    assert sg.weigh(nets, told, alike=1) == (0.5, 0.5)
    for wrong in ({"told": answers, "x": IMAGES}, {"told": hidden}, {"told": hidden, "x": IMAGES, "alike": 2}):
        with pytest.raises(ValueError, match="Expected"):
            sg.weigh(nets, **wrong)  # type: ignore[arg-type]
