"""Channels and defences: what they do to an answer, what they tell an oracle, how they stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox.estimators.probes import probe_size
from blackbox.targets import (
    JPEG,
    EightBit,
    InputNoise,
    LabelsOnly,
    Noisy,
    RandomResize,
    ReverseSigmoid,
    Rounded,
    Target,
    TopK,
    as_target,
)
from blackbox.targets.function import FunctionTarget
from blackbox.testing import Affine, Recording, ReluNet
from blackbox.testing.driver import task
from tests.toys import RandomSigns

P = torch.tensor([[0.512, 0.326, 0.101, 0.061], [0.2504, 0.2506, 0.2495, 0.2495]])
X = torch.zeros(2, 1, 4, 4)


def says(p: Tensor, returns: str = "probabilities") -> FunctionTarget:
    return FunctionTarget(lambda x: p[: len(x)], returns=returns, name="fixed")


def scores(target: Any, x: Tensor = X, **settings: Any) -> bb.Reply:
    return bb.Oracle(target, classes=4, **settings)(x)


class TestScores:
    def test_labels_only(self) -> None:
        target = LabelsOnly(Rounded(Noisy(says(P), 1e-6), 2))
        assert scores(target, access="labels").label.tolist() == [0, 1]
        with pytest.raises(bb.TargetError, match="labels only"):
            scores(target)
        assert (target.resolution, target.noise, target.randomised) == (0.0, 0.0, True)

    def test_top_k_lists_k_and_spreads_the_rest(self) -> None:
        p = scores(TopK(says(P), 2)).probabilities()
        assert torch.allclose(p[0], torch.tensor([0.512, 0.326, 0.081, 0.081]))
        assert torch.allclose(p.sum(1), torch.ones(2))
        listed = scores(TopK(says(P), 2), access="topk", k=2)
        assert listed.classes is not None and listed.classes[0].tolist() == [0, 1]
        assert torch.equal(scores(TopK(says(P), 9)).probabilities(), P)

    def test_rounding_keeps_the_label(self) -> None:
        reply = scores(Rounded(says(P), 2))
        assert torch.allclose(reply.probabilities()[0], torch.tensor([0.51, 0.33, 0.10, 0.06]))
        assert reply.probabilities()[1].max() == reply.probabilities()[1, 0], "a tie, of which argmax takes the first"
        assert reply.label.tolist() == [0, 1]

    def test_logits_become_probabilities(self) -> None:
        assert torch.allclose(scores(Rounded(says(P.log() + 3, "logits"), 2)).probabilities(), P.round(decimals=2))

    def test_form_is_told_from_the_first_answer(self) -> None:
        target = Rounded(FunctionTarget(lambda x: 10 * P[: len(x)]), 3)
        assert torch.allclose(scores(target).probabilities(), (10 * P).softmax(1).round(decimals=3))

    def test_noise_has_its_size_and_repeats_exactly(self) -> None:
        even = torch.full((1, 4), 0.25)
        target = FunctionTarget(lambda x: even.expand(len(x), 4), returns="probabilities")
        x = torch.zeros(2000, 1, 2, 2)
        a = scores(Noisy(target, 0.01, seed=3), x).probabilities()
        assert abs(float(a.std()) - 0.01) < 3e-4 and abs(float(a.mean()) - 0.25) < 3e-4
        assert len(torch.unique(a)) > 7000, "every row and class has its own"
        assert torch.equal(a, scores(Noisy(target, 0.01, seed=3), x, rows_per_call=7).probabilities())
        assert not torch.equal(a, scores(Noisy(target, 0.01, seed=4), x).probabilities())
        same = Noisy(target, 0.01, seed=3)
        assert not torch.equal(scores(same, x).probabilities(), scores(same, x).probabilities()), "drawn anew each time"

    def test_noise_names_the_class_that_is_largest_now(self) -> None:
        reply = scores(Noisy(FunctionTarget(lambda x: P[1:].expand(len(x), 4), returns="probabilities"), 0.1), torch.zeros(200, 1, 2, 2))
        assert torch.equal(reply.label, reply.probabilities().argmax(1)) and len(reply.label.unique()) == 4

    def test_reverse_sigmoid_by_hand(self) -> None:
        p = torch.tensor([[0.9, 0.1]])
        reply = bb.Oracle(ReverseSigmoid(says(p), beta=0.5, gamma=0.2), classes=2)(torch.zeros(1, 2))
        # sigmoid(0.2 ln 9) = 9**0.2 / (1 + 9**0.2) = 0.608127; 0.9 - 0.5 * 0.108127 = 0.845937; the other mirrors it
        assert torch.allclose(reply.probabilities(), torch.tensor([[0.845937, 0.154063]]), atol=1e-5)

    def test_reverse_sigmoid_misleads_but_keeps_the_label(self) -> None:
        p = torch.tensor([[0.97, 0.03], [0.999, 0.001], [0.9999, 0.0001]])
        shown = bb.Oracle(ReverseSigmoid(says(p)), classes=2)(torch.zeros(3, 2))
        assert (shown.probabilities()[:, 0].diff() < 0).all(), "surer is shown as less sure"
        q = torch.tensor([[0.4, 0.35, 0.25 - 1e-6, 1e-6]])
        told = scores(ReverseSigmoid(says(q)), X[:1])
        assert told.label.tolist() == [0] and told.probabilities().argmax(1).tolist() != [0]

    @pytest.mark.parametrize("wrap", [lambda t: Rounded(t, 2), lambda t: Noisy(t, 0.1), lambda t: TopK(t, 2), ReverseSigmoid])
    def test_labels_have_no_scores_to_change(self, wrap: Callable[[Any], Any]) -> None:
        target = wrap(FunctionTarget(lambda x: torch.zeros(len(x), dtype=torch.int64)))
        with pytest.raises(bb.TargetError, match="shows labels"):
            scores(target, access="labels")


class TestImages:
    def through(self, wrap: Callable[[Any], Any], x: Tensor) -> Tensor:
        seen = Recording(lambda x: torch.ones(len(x), 4))
        bb.Oracle(wrap(seen), classes=4, returns="auto")(x)
        return seen.shown

    def test_eight_bit(self) -> None:
        grid = (torch.arange(256).to(torch.uint8).float() / 255).view(1, 1, 16, 16)
        assert torch.equal(self.through(EightBit, grid), grid)
        assert torch.equal(self.through(EightBit, (grid + 0.4 / 255).clamp(0, 1)), grid)
        assert torch.equal(self.through(lambda t: EightBit(t, 2), grid), (grid > 0.5).float())

    def test_jpeg_is_near_and_closer_at_high_quality(self) -> None:
        x = torch.linspace(0, 1, 3 * 16 * 16).view(1, 3, 16, 16)
        fine, coarse = self.through(lambda t: JPEG(t, 95), x), self.through(lambda t: JPEG(t, 10), x)
        assert 0 < (fine - x).abs().mean() < (coarse - x).abs().mean() < 0.1
        assert torch.allclose(fine * 255, (fine * 255).round(), atol=1e-4)
        assert self.through(JPEG, x[:, :1]).shape == (1, 1, 16, 16)
        with pytest.raises(bb.TargetError, match="1 or 3 channels"):
            self.through(JPEG, torch.zeros(1, 2, 8, 8))

    def test_input_noise(self) -> None:
        x = torch.full((50, 3, 8, 8), 0.5)
        seen = self.through(lambda t: InputNoise(t, 0.02, seed=1), x)
        assert abs(float((seen - x).std()) - 0.02) < 1e-3
        assert torch.equal(seen, self.through(lambda t: InputNoise(t, 0.02, seed=1), x))
        assert self.through(lambda t: InputNoise(t, 0.5), torch.zeros(2, 1, 4, 4)).min() == 0

    def test_random_resize(self) -> None:
        seen = self.through(lambda t: RandomResize(t, 0.5, seed=1), torch.ones(200, 1, 8, 8))
        assert seen.shape == (200, 1, 8, 8) and set(seen.unique().tolist()) == {0.0, 1.0}
        tall = seen[:, 0].amax(2).sum(1)
        assert set(tall.tolist()) == {4.0, 5.0, 6.0, 7.0, 8.0}
        assert torch.equal(seen[:, 0].sum((1, 2)), tall * tall), "a square, whole"
        assert len({s.numpy().tobytes() for s in seen}) > 25
        assert self.through(lambda t: RandomResize(t, 0.9), torch.ones(3, 2, 8, 4)).shape == (3, 2, 8, 4)
        with pytest.raises(bb.TargetError, match=r"\[m, channels, height, width\]"):
            self.through(RandomResize, torch.zeros(2, 4))


class TestWhatAnOracleLearns:
    def test_channels_add_up(self) -> None:
        oracle = bb.Oracle(EightBit(Noisy(Rounded(Noisy(says(P), 0.03), 2), 0.04)), classes=4)
        assert oracle.probe == 1 / 255 and oracle.resolution == 0.01 and oracle.randomised
        assert oracle.noise == pytest.approx(0.05)
        assert oracle.name == "EightBit of Noisy 0.04 of Rounded 2 of Noisy 0.03 of fixed"

    def test_nothing_to_learn(self) -> None:
        oracle = bb.Oracle(says(P), classes=4)
        assert (oracle.probe, oracle.resolution, oracle.noise, oracle.randomised, oracle.flags) == (0, 0, 0, False, None)

    def test_what_is_said_explicitly_wins(self) -> None:
        oracle = bb.Oracle(EightBit(Noisy(says(P), 0.1)), classes=4, probe=0.0, noise=0.2, randomised=False, decimals=3)
        assert (oracle.probe, oracle.noise, oracle.randomised, oracle.resolution) == (0.0, 0.2, False, 1e-3)

    @pytest.mark.parametrize("made", [JPEG, InputNoise, RandomResize, LabelsOnly, ReverseSigmoid, EightBit])
    def test_each_is_a_target(self, made: Any) -> None:
        target = made(says(P))
        assert isinstance(target, Target) and as_target(target) is target
        assert made.__name__ in repr(target)

    def test_an_attack_hears_of_it(self) -> None:
        heard = []

        class Listens:
            access: ClassVar[bb.Access] = bb.Access.LABELS
            norms: ClassVar[tuple[str, ...]] = ("Linf",)

            def init(self, t: bb.Task) -> Any:
                heard.append(t)

            def step(self, t: bb.Task, s: Any, k: int) -> Any:
                return None

        oracle = bb.Oracle(EightBit(Noisy(Rounded(says(P), 3), 0.001)), classes=4)
        bb.attack(oracle, X, torch.tensor([0, 1]), Listens(), bb.Linf(0.1), 10)
        t = heard[0]
        assert (t.probe, t.resolution, t.noise, t.randomised) == (1 / 255, 1e-3, 0.001, True)

    def test_probes_grow_with_the_noise(self) -> None:
        x = torch.zeros(1, 4)
        assert probe_size(task(x, noise=1e-3), 0.01) == pytest.approx(0.1)
        assert probe_size(task(x, noise=1e-3), 0.01, two_sided=False) == pytest.approx(1e-3**0.5)
        assert probe_size(task(x, noise=1e-9), 0.01) == 0.01
        assert probe_size(task(x, noise=1e-6, resolution=1e-3), 0.01) == pytest.approx(0.1)

    def test_larger_probes_help_under_noise(self) -> None:
        """The reason for it: the estimated gradient points the right way only when the attack knows of the noise."""
        from blackbox.estimators.coordinate import Coordinates
        from blackbox.testing.driver import drive

        w = torch.linspace(-1, 1, 16)
        draw = np.random.default_rng(0)

        def loss(x: Tensor) -> Tensor:
            return x @ w + torch.from_numpy(draw.normal(0, 0.02, len(x))).float()

        x = torch.full((20, 16), 0.5)
        cosine = {}
        for noise in (0.0, 0.02):
            t = task(x, noise=noise)
            g, _ = drive(Coordinates(h=0.01).estimate(t, x, 0), t, loss)
            cosine[noise] = float(torch.nn.functional.cosine_similarity(g, w.expand_as(g)).mean())
        assert cosine[0.02] > 0.98 > 0.8 > cosine[0.0]

    def test_a_contradiction_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'probabilities', which is what"):
            bb.Oracle(Rounded(says(P), 2), classes=4, returns="logits")

    def test_the_loss_has_a_floor_at_the_noise(self) -> None:
        """A probability cut to 0 by noise must not look like a margin of 70."""
        sure = FunctionTarget(lambda x: torch.tensor([[1.0, 0.0]]).expand(len(x), 2), returns="probabilities")
        oracle = bb.Oracle(Noisy(sure, 0.01), classes=2)
        r = bb.attack(oracle, torch.zeros(8, 4), torch.zeros(8, dtype=torch.int64), threat=bb.Linf(0.1), budget=2)
        assert (r.clean_loss.abs() < 6).all()


@pytest.mark.parametrize(
    "bad",
    [
        lambda: TopK(says(P), 0),
        lambda: Rounded(says(P), 0),
        lambda: Noisy(says(P), 0.0),
        lambda: EightBit(says(P), 1),
        lambda: JPEG(says(P), 0),
        lambda: InputNoise(says(P), -1.0),
        lambda: RandomResize(says(P), 1.0),
        lambda: ReverseSigmoid(says(P), beta=2.0),
        lambda: bb.Oracle(says(P), noise=-1.0),
    ],
)
def test_bad_settings(bad: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=r"Expected .* but"):
        bad()


@pytest.mark.parametrize("access", ["labels", "topk", "scores"])
def test_attacks_run_through_a_stack(access: str) -> None:
    net = Affine(torch.eye(3)[:, :, None, None].expand(3, 3, 4, 4).contiguous(), torch.tensor([0.4, 0.0, 0.0]))
    target = EightBit(TopK(Rounded(FunctionTarget(net, returns="logits"), 4), 2))
    x = torch.full((4, 3, 4, 4), 0.5)
    oracle = bb.Oracle(target, access, classes=3, k=2)
    r = bb.attack(oracle, x, torch.zeros(4, dtype=torch.int64), RandomSigns() if access == "labels" else "square", bb.Linf(0.1), 50)
    assert oracle.rows == int(r.queries.sum()) and r.success.all()


def test_a_seeded_run_repeats_and_the_counter_is_the_channels_own() -> None:
    net = ReluNet.random((3, 4, 4))
    x = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    y = net(x).argmax(1)

    def go() -> bb.AttackResult:
        torch.manual_seed(int(torch.randint(0, 1000, (1,))))  # the global generator has no say
        return bb.attack(bb.Oracle(InputNoise(Noisy(net, 0.05)), classes=3, rows_per_call=4), x, y, "square", bb.Linf(0.05), 60)

    a, b = go(), go()
    assert torch.equal(a.queries, b.queries) and torch.equal(a.x_adv, b.x_adv) and torch.equal(a.loss, b.loss)
