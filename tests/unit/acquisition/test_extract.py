"""Pools that nobody had to photograph, and the one call that chooses between them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import surrogates as sg
from blackbox.oracle.oracle import Oracle, TargetError
from blackbox.threat import Linf
from surrogates import acquisition as acquire
from surrogates.acquisition import Extraction
from surrogates.acquisition.pools import PROCEDURAL
from tests.surrogate_doubles import Affine, Rejecting

SHAPE = (1, 6, 6)
QUICK = sg.Recipe(epochs=3)


def target() -> nn.Module:
    return Affine(36, 3).centred()


def own(count: int = 200) -> Tensor:
    return torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(3))


def test_a_linear_target_is_recovered_from_noise_alone() -> None:
    """Logits of an affine target at as many noise images as there are pixels, and one, determine it."""
    hidden = target()
    pool = acquire.noise(SHAPE, 37).images
    got = sg.ask(Oracle(hidden, "scores", 3, returns="logits"), pool, 37)
    assert got.probabilities is not None
    logs = got.probabilities.double().log()
    asked = torch.cat([got.images.flatten(1).double(), torch.ones(37, 1, dtype=torch.float64)], 1)
    found = torch.linalg.solve(asked, logs - logs[:, :1])
    weights = torch.cat([hidden.w, hidden.b[:, None]], 1).detach().double()  # type: ignore[arg-type]
    assert torch.allclose(found.T, weights - weights[:1], atol=2e-3)
    copy = sg.learn(
        Affine(36, 3, 1), Oracle(hidden, "scores", 3, returns="logits"), acquire.noise(SHAPE, 300), queries=300, held_out=0,
        recipe=sg.Recipe(epochs=40, optimiser="adam", lr=0.2, weight_decay=0.0),
    )  # fmt: skip
    assert sg.fidelity(copy.net, Oracle(hidden, "labels", 3), own()).value > 0.94


@pytest.mark.parametrize("kind", [*PROCEDURAL, "mixed"])
def test_procedural_pictures(kind: str) -> None:
    pool = acquire.procedural((3, 12, 9), 12, kind, seed=4)
    assert pool.shape == (3, 12, 9) and pool.images.std() > 0.1
    assert torch.equal(pool.images[7:], acquire.procedural((3, 12, 9), 5, kind, seed=4, first=7).images)
    assert not torch.equal(pool.images, acquire.procedural((3, 12, 9), 12, kind, seed=5).images)
    flat = pool.images.flatten(2)
    assert len({v.numpy().tobytes() for v in flat}) == 12
    near = (pool.images[..., 1:] - pool.images[..., :-1]).abs().mean()
    assert near < 0.7 * (pool.images - pool.images.roll(1, 0)).abs().mean()  # smoother than noise, where both are equal


def test_dead_leaves_have_flat_parts_and_edges() -> None:
    x = acquire.procedural((1, 32, 32), 20).images
    step = (x[..., 1:] - x[..., :-1]).abs()
    assert float((step == 0).float().mean()) > 0.5 and float((step > 0.1).float().mean()) > 0.05


def test_a_pool_says_what_it_cannot_make() -> None:
    with pytest.raises(ValueError, match="dead leaves, spectrum, gratings, mixed and a count of at least 1, but they were 'clouds', 3"):
        acquire.procedural(SHAPE, 3, "clouds")
    with pytest.raises(ValueError, match=r"made to fit \(3, 6, 6\), \[N, C, H, W\] with C = 3 or grey, but their shape was \(2, 4, 6, 6\)"):
        acquire.fitted(torch.rand(2, 4, 6, 6), (3, 6, 6))


def test_another_data_set_is_made_to_fit() -> None:
    grey = torch.rand(2, 1, 4, 4)
    assert torch.equal(acquire.fitted(grey, (3, 4, 4)).images[:, 2:], grey)
    colour = torch.rand(2, 3, 9, 7)
    assert torch.equal(acquire.fitted(colour, (1, 9, 7)).images, colour.mean(1, keepdim=True))
    small = acquire.fitted(torch.full((2, 3, 9, 7), 0.25), (3, 5, 5)).images
    assert small.shape == (2, 3, 5, 5) and torch.allclose(small, torch.tensor(0.25))


def test_changed_copies_fill_up_a_small_set() -> None:
    few = sg.Dataset(own(5), torch.arange(5), tuple("abcde"))
    more = acquire.widened(few, 12, 0)
    assert len(more) == 12 and torch.equal(more.images[:5], few.images) and more.labels.tolist() == [0, 1, 2, 3, 4] * 2 + [0, 1]
    assert not torch.equal(more.images[5:10], few.images) and acquire.widened(few, 3) is few


def extracted(budget: int = 200, access: str = "scores", **options: object) -> tuple[Extraction, Oracle]:
    oracle = Oracle(target(), access, 3, **({} if access == "labels" else {"returns": "logits"}))
    return sg.extract(oracle, budget, arch="mlp", recipe=QUICK, **options), oracle  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "pool", "on"),
    [
        ({"data": own()}, "data", "images of the target's kind held out"),
        ({"data": own(60)}, "data and changed copies", "images of the target's kind held out"),
        ({"data": own(3)}, "data and changed copies", "images of the target's kind held out"),
        ({"other": torch.rand(300, 3, 8, 8), "shape": SHAPE}, "other images and procedural pictures", "other images held out, which are"),
        ({"other": own(20), "shape": SHAPE}, "other images and procedural pictures", "other images held out, which"),
        ({"shape": SHAPE}, "procedural pictures", "procedural pictures held out, which are not of the target's kind"),
        ({"test": own(30)}, "procedural pictures", "the images given to measure on"),
        ({"shape": SHAPE, "strategy": "maze"}, "a generator's images", "procedural pictures held out, which are not"),
        ({"data": own(60), "strategy": "dfme"}, "a generator's images", "images of the target's kind held out"),
        ({"data": own(), "strategy": "k-center"}, "data", "images of the target's kind held out"),
    ],
)
def test_the_pool_follows_from_what_there_is_and_the_bill_is_exact(options: dict[str, object], pool: str, on: str) -> None:
    got, oracle = extracted(**options)  # type: ignore[arg-type]
    assert got.pool == pool and got.measured_on.startswith(on)
    assert got.strategy == options.get("strategy", "pilot" if "other" in options else "distil")
    assert oracle.rows == 200 == got.bill.total == got.bill.budget
    assert oracle.counts["held out"] == got.bill.held_out == got.agreement.n
    assert oracle.counts["transfer"] == got.bill.transfer == got.transfer.n
    assert oracle.counts["train"] == len(got.answers) and oracle.counts["estimate"] == got.bill.estimate
    learned = {v.numpy().tobytes() for v in got.answers.images}
    assert not learned & {v.numpy().tobytes() for v in got.held_out.images}
    assert got.agreement.k == int((sg.predict(got.net, got.held_out.images) == sg.predict(target(), got.held_out.images)).sum())
    assert f"{got.strategy} on {pool}: " in got.summary() and "200 of 200 queries" in got.summary()


@pytest.mark.parametrize(("strategy", "budget"), [("distil", 200), (None, 70)])
def test_without_a_pilot_half_of_the_images_are_other_ones(strategy: str | None, budget: int) -> None:
    """A strategy of one's own, or a budget that leaves a pilot fewer than ten images of each pool."""
    dark = torch.zeros(300, *SHAPE) + torch.arange(300).view(-1, 1, 1, 1) / 1e6
    got, _ = extracted(budget, other=dark, shape=SHAPE, strategy=strategy)
    assert got.strategy == "distil" and int((got.answers.images.amax((1, 2, 3)) < 1e-3).sum()) == -(-len(got.answers) // 2)


def test_labels_alone_and_what_carries_over() -> None:
    got, _ = extracted(1000, "labels", data=own(1000), threat=Linf(0.5))
    assert got.answers.probabilities is None and got.agreement.value > 0.6 and got.transfer.value > 0.8
    weak, _ = extracted(1000, "labels", data=own(1000), threat=Linf(1e-4))
    assert weak.agreement == got.agreement and weak.transfer.value < 0.1


def test_a_budget_below_one_batch_falls_back_and_says_so() -> None:
    got, oracle = extracted(60, shape=SHAPE, strategy="dfme")
    assert got.strategy == "distil" and got.pool == "procedural pictures" and oracle.rows == 60
    assert got.notes == ("dfme asks in batches of 64, and 51 queries are there to learn from: other images are asked about instead.",)
    assert got.notes[0] in got.summary()


def test_what_cannot_be_extracted_is_said_before_the_first_query() -> None:
    oracle = Oracle(target(), "scores", 3)
    for budget, options, message in (
        (9, {"shape": SHAPE}, "a budget of at least 10 queries, 1 of them to measure agreement, but it was 9"),
        (30, {"test": own(29)}, "a budget of at least 33 queries, 29 of them"),
        (100, {}, r"shape=\(C, H, W\) of the target's images"),
        (100, {"data": own(), "shape": (1, 8, 8)}, r"Give other sizes as other="),
        (100, {"data": own(1)}, "at least 2 images, one of them to measure on, but there was 1"),
        (100, {"shape": SHAPE, "strategy": "dfne"}, "Expected the name of a strategy"),
        (100, {"shape": SHAPE, "test": torch.rand(20, 1, 8, 8)}, r"images to measure on of shape \(1, 6, 6\), but it was \(1, 8, 8\)"),
        (100, {"shape": SHAPE, "attack": "mi-fgms"}, "mi-fgsm"),
    ):
        with pytest.raises(ValueError, match=message):
            sg.extract(oracle, budget, **options)  # type: ignore[arg-type]
    assert oracle.rows == 0


@pytest.mark.parametrize("after", [50, 175, 195])
def test_what_was_paid_is_left_when_a_target_fails(after: int, tmp_path: Path) -> None:
    done = 0

    def failing(x: Tensor) -> Tensor:
        nonlocal done
        if done + len(x) > after:
            raise RuntimeError("over")
        done += len(x)
        return target()(x)

    oracle = Oracle(failing, "scores", 3, returns="logits", rows_per_call=5)
    with pytest.raises(TargetError) as error:
        sg.extract(oracle, 200, data=own(), arch="mlp", recipe=QUICK, journal=tmp_path / "a.journal")
    answers = error.value.result  # type: ignore[attr-defined]
    assert oracle.rows == after and len(answers) == min(after, 170) and answers.probabilities is not None
    again = Oracle(target(), "scores", 3, returns="logits", name=oracle.name)
    sg.extract(again, 200, data=own(), arch="mlp", recipe=QUICK, journal=tmp_path / "a.journal")
    assert again.rows == 200 - after and again.spent == 200


def test_rejected_and_one_class() -> None:
    bright = Rejecting(target(), lambda x: x.flatten(1).mean(1) > 0.5, "scores")
    oracle = Oracle(bright, "scores", 3, returns="logits")
    got = sg.extract(oracle, 200, data=own(), arch="mlp", recipe=QUICK)
    assert oracle.rows == got.bill.total and got.answers.rejected and got.held_out.rejected
    assert got.bill.held_out == 20 == len(got.held_out) + got.held_out.rejected
    silent = Oracle(Rejecting(target(), lambda x: torch.tensor([len(x) == 20]).expand(len(x)), "scores"), "scores", 3, returns="logits")
    with pytest.raises(ValueError, match="it rejected all 20 images held out") as failed:
        sg.extract(silent, 200, data=own(), arch="mlp", recipe=QUICK)
    assert len(failed.value.answers) == 170 and silent.rows == 190  # type: ignore[attr-defined]
    one = Oracle(lambda x: torch.full((len(x),), 1), "labels", 3)
    with pytest.raises(ValueError, match="at least two classes, but the target answered 1 for all of the 170 images") as error:
        sg.extract(one, 200, data=own(), arch="mlp", recipe=QUICK)
    assert len(error.value.answers) == 170 == one.rows  # type: ignore[attr-defined]
