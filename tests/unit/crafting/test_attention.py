"""Recipes for transformers: identities on three ways of writing attention, and each change of the gradient by hand."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import surrogates as sg
from blackbox.rng import Stream
from blackbox.threat import L2, Linf
from surrogates.crafting import parts, presets
from surrogates.crafting.goal import Goal
from surrogates.crafting.gradients import Autograd
from surrogates.crafting.parts import attention, redundant
from surrogates.crafting.parts.attention import levelled, without_extreme_tokens, without_extremes
from tests.surrogate_doubles import images, transformer

NAMES = ("pna-patchout", "tgr", "vdc", "att", "fpr", "ll2s")
RNG = Stream(0, np.arange(3, dtype=np.uint64))
Y = torch.arange(3)


class Written(nn.Module):
    """Multiplies by its attention map itself; ``kind`` says how the map is made."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        g = torch.Generator().manual_seed(1)
        self.kind, self.qkv = kind, nn.Parameter(torch.randn(12, 4, generator=g))
        self.out, self.w = nn.Parameter(torch.randn(4, 4, generator=g)), nn.Parameter(torch.randn(3, 4, generator=g))

    def forward(self, x: Tensor) -> Tensor:
        t = x.flatten(2).mT  # [m, tokens, 4]
        q, k, v = F.linear(t, self.qkv).chunk(3, -1)
        if self.kind == "softmax":
            mixed = torch.softmax(q @ k.mT / 2, -1) @ v
        elif self.kind == "constant":
            mixed = torch.softmax(q @ k.mT / 2, -1).detach() @ v
        else:
            mixed = F.scaled_dot_product_attention(q, k, v)
        return F.linear((t + F.linear(mixed, self.out)).mean(1), self.w)


@dataclass(frozen=True)
class Nothing(attention.TransformerSurgery):
    kind = attention._Edit


def slope(net: nn.Module, x: Tensor, *surgeries: parts.Surgery, k: int = 0) -> Tensor:
    return Autograd(net, x, surgeries=surgeries)(x, Goal(Y, Y), RNG, k)


def transformers() -> dict[str, nn.Module]:
    from torchvision.models import VisionTransformer

    torch.manual_seed(0)
    tv = VisionTransformer(8, 4, 2, 2, 8, 16, num_classes=3)
    nn.init.normal_(tv.heads.head.weight)  # type: ignore[union-attr]
    return {"ours": transformer(3, (3, 8, 8)), "torchvision": tv.eval(), "softmax": Written("softmax")}


def test_attention_is_found_however_it_is_written() -> None:
    """With an edit that changes nothing gradients are the net's own; PNA's are those of the values alone."""
    for name, net in transformers().items():
        x = images(3, (3, 8, 8) if name != "softmax" else (4, 3, 2))
        plain = slope(net, x)
        assert torch.allclose(slope(net, x, Nothing()), plain, rtol=1e-3, atol=1e-7), name
        assert not torch.allclose(slope(net, x, parts.PNA()), plain, rtol=1e-2, atol=1e-7), name
        assert "forward" not in net.__dict__
    x = images(3, (4, 3, 2))
    for kind in ("softmax", "fused"):
        assert torch.allclose(slope(Written(kind), x, parts.PNA()), slope(Written("constant"), x), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_a_net_without_attention_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(ValueError, match="Expected a net with attention for .*, but its forward pass has none") as error:
        sg.craft(sg.build("cnn", 3, (1, 8, 8)), images(3, (1, 8, 8)), Y, name, threat=Linf(0.1), steps=1)
    assert "\n" not in str(error.value)


def test_two_edits_of_one_attention_are_refused() -> None:
    with pytest.raises(ValueError, match="one part that edits the attention"):
        sg.craft(transformer(3, (1, 8, 8)), images(3, (1, 8, 8)), Y, parts.PNA() | parts.TGR(), threat=Linf(0.1), steps=1)


@pytest.mark.parametrize("name", NAMES)
def test_an_image_has_the_same_result_in_any_batch(name: str) -> None:
    net, x, y = transformer(4, (3, 8, 8), seed=1), images(7, (3, 8, 8)), torch.arange(7) % 4
    assert presets.get(name).cost() == 10

    def run(at: list[int]) -> Tensor:
        return sg.craft(net, x[at], y[at], name, threat=L2(0.5), steps=2, ids=at, chunk=4)

    whole, order = run(list(range(7))), [4, 0, 2, 6, 1, 3, 5]
    assert torch.equal(run(order), whole[order]) and torch.equal(run([5]), whole[5:6])
    mine = sg.craft(net, x, y, "mi-fgsm", threat=L2(0.5), steps=2)
    assert not torch.allclose(whole, mine, atol=1e-3)


def test_extremes_are_taken_out() -> None:
    g = torch.tensor([[[1.0, 5.0], [-2.0, 4.0], [3.0, -1.0], [0.5, 0.2]]])
    assert without_extremes(g).tolist() == [[[1.0, 0.0], [0.0, 4.0], [0.0, 0.0], [0.5, pytest.approx(0.2)]]]
    maps = torch.arange(16.0).view(1, 1, 4, 4)
    maps[0, 0, 1, 2] = -9  # the smallest; the largest is in the last corner
    left = without_extreme_tokens(maps)[0, 0]
    assert left.nonzero().tolist() == [[0, 1], [2, 0], [2, 1]] and float(left[2, 1]) == 9
    short = levelled(torch.tensor([[[3.0, 4.0], [0.0, 1.0], [0.0, 0.0]]]))  # lengths 5, 1, 0: 2 on average
    assert torch.allclose(short, torch.tensor([[[1.2, 1.6], [0.0, 1.0], [0.0, 0.0]]]))


def test_tgr_scales_what_is_left() -> None:
    """With the factors 0 what passes is the skip alone: the gradient of the mean of the tokens."""
    net, x = Written("fused"), images(3, (4, 3, 2))
    with torch.no_grad():
        z = net(x).softmax(1) - F.one_hot(Y, 3)
        skip = (z @ net.w)[:, :, None].expand(3, 4, 6).reshape(3, 4, 3, 2) / 6
    assert torch.allclose(slope(net, x, parts.TGR(0.0, 0.0, 0.0)), skip, atol=1e-6)


def test_vdc_adds_what_is_deeper() -> None:
    edit = attention._Edits(parts.VDC(0.1, 0.5), [nn.Identity()]).edits[0][1]
    assert isinstance(edit, attention._Dense)
    g = [torch.full((1, 2), v) for v in (1.0, 2.0, 4.0)]  # from the deepest on
    assert [float(edit._join("mlp", 0.5, v)[0, 0]) for v in g] == [1.0, 2.5, 5.25]  # 4 + 0.5 * (2 + 0.5 * 1)
    assert float(edit._join("mlp", 0.5, torch.ones(1, 3))[0, 0]) == 1  # of another size: anew
    net, x = transformer(3, (3, 8, 8)), images(3, (3, 8, 8))
    assert torch.allclose(slope(net, x, parts.VDC(0.0, 0.0)), slope(net, x), atol=1e-6)
    assert not torch.allclose(slope(net, x, parts.VDC()), slope(net, x), atol=1e-6)


def test_fpr_remembers_and_weighs() -> None:
    net, x = transformer(3, (3, 8, 8)), images(3, (3, 8, 8))
    source = Autograd(net, x, surgeries=(parts.FPR(0.0, 0.5),), chunk=3)
    with source.open(), torch.no_grad():
        first = source.seen(x, Y, RNG, 0)
        same = source.seen(x, Y, RNG, 1)
        far = source.seen(1 - x, Y, RNG, 2)
        anew = source.seen(1 - x, Y, RNG, 0)
    assert torch.allclose(first.gradient, slope(net, x), atol=1e-6)
    assert torch.allclose(same.loss, first.loss, atol=1e-5)  # what it gave before is what it gives now
    assert not torch.allclose(same.gradient, first.gradient, atol=1e-4)  # but half of it is a constant
    assert not torch.allclose(far.loss, anew.loss, atol=1e-4)
    with torch.no_grad():
        assert torch.allclose(anew.loss, F.cross_entropy(net(1 - x), Y, reduction="none"), atol=1e-4)
    wide = [slope(net, x, parts.FPR(2.0, 0.0), k=k) for k in (0, 0, 1)]
    assert torch.equal(wide[0], wide[1]) and not torch.allclose(wide[0], wide[2], atol=1e-6)


def test_ll2s_changes_what_it_says_and_learns_what_raises_the_loss() -> None:
    x, rows = images(3, (3, 8, 8)), 0.5 * torch.ones(3, 2, 4, 4)
    made = parts.LL2S(0.5, rate=2.0).memory_of([transformer(3, (3, 8, 8))])
    edit, made.rng = made.edits[0][1], RNG
    edit.layers = 4
    for number, name in enumerate(redundant.CHANGES):
        made.drawn[0, 0] = torch.full((3,), number)
        turned = torch.arange(96.0).view(3, 2, 4, 4)
        got = [edit.logits(0, rows.clone())[0], edit.logits(0, turned)[0], edit.ends(0, True, rows[:, 0])]
        same = [torch.equal(got[0], rows), torch.equal(got[2], rows[:, 0])]
        assert same == [name != "sparse", name != "ghost"], name
        if name == "sparse":
            assert set(got[0].unique().tolist()) == {0.0, 0.5}
        if name == "ghost":
            assert set(got[2].unique().tolist()) == {0.0, 1.0}
        order = [[int(m.amax()) % 32 // 16 for m in row] for row in got[1]]
        assert all(sorted(o) == [0, 1] for o in order) and (name == "permuted" or order == [[0, 1]] * 3)
        assert torch.equal(edit.ends(0, False, rows[:, 0]), rows[:, 0])
    for k, loss in ((0, 1.0), (1, 2.0), (2, 0.0)):  # above the mean so far with "sparse", below it with "ghost"
        made.before(x, Goal(Y, Y), RNG, k)
        made.drawn[0, 0] = torch.full((3,), (0, 1, 3)[k])
        made.told(torch.full((3,), loss))
    assert made.get((0, 0)).argmax(1).tolist() == [1, 1, 1] and made.get((0, 0)).argmin(1).tolist() == [3, 3, 3]


def test_patches_stay_out_whole() -> None:
    net, x = sg.build("mlp", 3, (3, 16, 16)), images(3, (3, 16, 16))
    made = sg.craft(net, x, Y, parts.PatchOut(0.25, 0.0), threat=Linf(0.1), steps=1)
    changed = (made != x).any(1).unflatten(1, (8, 2)).unflatten(3, (8, 2)).permute(0, 1, 3, 2, 4).flatten(3)
    assert torch.equal(changed.any(3), changed.all(3)) and changed.any(3).flatten(1).sum(1).tolist() == [16, 16, 16]
    assert not torch.equal(changed[0], changed[1])
    whole = sg.craft(net, x, Y, parts.PatchOut(1.0, 0.0), threat=Linf(0.1), steps=1)
    assert torch.equal(whole, sg.craft(net, x, Y, "fgsm", threat=Linf(0.1)))
    paced = sg.craft(net, x, Y, parts.SelfPaced(0.25), threat=Linf(0.1), steps=1)
    assert torch.equal(paced, whole)  # the first step leaves none out
    g = Autograd(net, x)(x, Y, RNG, 0).abs().sum(1).unflatten(1, (8, 2)).unflatten(3, (8, 2)).sum((2, 4)).flatten(1)
    last: Any = SimpleNamespace(k=1, steps=2, x=x, x0=x)
    kept = parts.SelfPaced(0.25)(Autograd(net, x)(x, Y, RNG, 0), last).abs().sum(1)
    kept = kept.unflatten(1, (8, 2)).unflatten(3, (8, 2)).sum((2, 4)).flatten(1)
    for i in range(3):
        assert set(kept[i].nonzero()[:, 0].tolist()) == set(g[i].topk(16).indices.tolist())
