"""Bad input: one sentence with what was expected, what came, which sample, and how to mend it; nothing is spent."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import blackbox as bb
from blackbox import attacks
from blackbox.testing import Failing, Noisy, Recording, affine_problem

P = affine_problem("Linf")
X, Y = P.x, P.y


def spoilt(i: int, value: float) -> torch.Tensor:
    x = X.clone()
    x[i, 0, 0, 0] = value
    return x


BAD: list[tuple[str, dict[str, Any], type[Exception], str]] = [
    ("above 1", {"x": X * 255}, ValueError, r"x to lie in \[0, 1\], but sample 0 ranges from .* Divide by 255\?"),
    ("below 0", {"x": spoilt(3, -0.5)}, ValueError, "sample 3 ranges from -0.5 .*Normalising belongs to the target"),
    ("a little above 1", {"x": spoilt(1, 1.01)}, ValueError, "sample 1 ranges .* to 1.01"),
    ("nan", {"x": spoilt(2, math.nan)}, ValueError, "free of NaN, but sample 2 has some"),
    ("inf", {"x": spoilt(4, math.inf)}, ValueError, "sample 4 ranges from .* to inf"),
    ("bytes", {"x": (X * 255).to(torch.uint8)}, ValueError, "floats in .*dtype was torch.uint8. Divide by 255"),
    ("integers", {"x": X.to(torch.int64)}, ValueError, "dtype was torch.int64. Convert them to floats"),
    ("no batch axis", {"x": X[0, 0, 0]}, ValueError, r"shape \(4,\). Add the batch axis: x\[None\]"),
    ("no images", {"x": X[:0], "y": Y[:0]}, ValueError, r"at least one image, but it had shape \(0, 3, 4, 4\)"),
    ("a list", {"x": [[object()]]}, ValueError, "x to be numbers in a torch tensor or a numpy array, but it was list"),
    ("labels too large", {"y": Y.where(Y[3] != Y, 3)}, ValueError, r"y to lie in 0..2 .*3 classes.*, but sample \d has 3"),
    ("labels negative", {"y": -Y - 1}, ValueError, "y to lie in 0..2 .*sample 0 has -"),
    ("labels as floats", {"y": Y.float()}, ValueError, "class indices as integers, but its dtype was torch.float32. Convert"),
    ("one-hot", {"y": torch.eye(3, dtype=torch.int64)[Y]}, ValueError, r"shape \(5,\), but it had shape \(5, 3\). Give .* y.argmax\(1\)"),
    ("too few labels", {"y": Y[:4]}, ValueError, r"each of the 5 images.*had shape \(4,\)"),
    ("target class as the label", {"target": Y}, ValueError, r"target to differ from the true label, but sample 0 has target class \d"),
    ("target out of range", {"target": 7}, ValueError, "target to lie in 0..2"),
    ("target of another length", {"target": (Y[:2] + 1) % 3}, ValueError, "one label for each of the 5 images"),
    ("a radius for the wrong scale", {"threat": lambda: bb.Linf(8)}, ValueError, r"Did you mean 8/255\?"),
    ("a radius in words", {"threat": lambda: bb.Linf("8/255")}, ValueError, "eps to be a positive number .*'8/255'"),
    ("a radius that is true", {"threat": lambda: bb.Linf(True)}, ValueError, "eps to be a positive number .*True"),
    ("a radius of zero", {"threat": lambda: bb.L2(0)}, ValueError, "eps to be a positive number"),
    ("a negative radius", {"threat": lambda: bb.L1(-1)}, ValueError, "eps to be a positive number .*-1"),
    ("a radius over the box", {"threat": lambda: bb.L2(50)}, ValueError, "diameter of the box for images with 48 entries, but it was 50"),
    ("a number for a threat", {"threat": 0.1}, TypeError, r"a threat such as blackbox.Linf\(8/255\), but it was 0.1"),
    ("no threat", {"threat": None}, TypeError, "a threat such as"),
    ("a smaller box", {"threat": lambda: bb.Linf(0.1, 0.5, 1.0)}, ValueError, r"x to lie in the threat's box \[0.5, 1\]"),
    ("budget 0", {"budget": 0}, ValueError, "budget to be a whole number of queries, at least 1, but it was 0"),
    ("budget 1.5", {"budget": 1.5}, ValueError, "whole number of queries, at least 1, but it was 1.5"),
    ("budget True", {"budget": True}, ValueError, "whole number of queries"),
    ("cohort 0", {"cohort": 0}, ValueError, "cohort to be a whole number of rows, at least 1, but it was 0"),
    ("cohort 2.5", {"cohort": 2.5}, ValueError, "cohort to be a whole number of rows, at least 1, but it was 2.5"),
    ("no seed", {"seed": None}, ValueError, "seed to be a whole number, but it was None"),
    ("seed 1.5", {"seed": 1.5}, ValueError, "seed to be a whole number, but it was 1.5"),
    ("a seed in words", {"seed": "0"}, ValueError, "seed to be a whole number, but it was '0'"),
    ("labels as words", {"y": np.array(list("abcde"))}, ValueError, "class indices, since the oracle knows no names of classes"),
    ("no labels and no goal", {"y": None}, ValueError, r"true class of each input, but it was None.*access='answers'"),
    ("target true", {"target": True}, ValueError, "target to hold class indices as integers, but its dtype was torch.bool"),
    ("ids twice", {"ids": [1, 2, 2, 3, 4]}, ValueError, "ids to differ from each other"),
    ("ids negative", {"ids": [-1, 2, 7, 3, 4]}, ValueError, "none negative"),
    ("ids too few", {"ids": [1, 2]}, ValueError, "ids to be 5 whole numbers"),
    ("ids as floats", {"ids": [0.5, 1, 2, 3, 4]}, ValueError, "5 whole numbers.*dtype float64"),
    ("an unknown attack", {"attack": "sqare"}, ValueError, r"fd-fgsm.*but it was 'sqare'. Did you mean 'square'\?"),
    ("an attack's class", {"attack": attacks.Square}, TypeError, r"an attack such as blackbox.attacks.Square\(\)"),
    ("no attack", {"attack": 3}, TypeError, "a name from blackbox.attacks.names"),
    ("an unknown objective", {"objective": "hinge"}, ValueError, "margin, cross-entropy, but it was 'hinge'"),
    ("a norm that is not served", {"attack": "simba", "threat": lambda: bb.L1(1.0)}, bb.UnsupportedThreat, "for simba, but it was L1 1"),
    ("an oracle that shows too little", {"access": "labels"}, bb.AccessError, "at least topk for square, but this one shows labels only"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "kind", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_bad_arguments(change: dict[str, Any], kind: type[Exception], message: str) -> None:
    given: dict[str, Any] = {"x": X, "y": Y, "attack": "square", "threat": bb.Linf(0.1), "budget": 9, "access": "logits", **change}
    seen = Recording(P.target)
    oracle = bb.Oracle(seen, given.pop("access"), 3, returns="logits")
    with pytest.raises(kind, match=message) as caught:
        threat = given.pop("threat")
        bb.attack(oracle, given.pop("x"), given.pop("y"), given.pop("attack"), threat() if callable(threat) else threat, **given)
    assert seen.count == oracle.rows == 0, "nothing may be spent before the arguments are checked"
    assert "\n" not in str(caught.value)


def test_a_model_instead_of_an_oracle() -> None:
    with pytest.raises(TypeError, match=r"an Oracle, but it was Affine. Wrap the model: blackbox.Oracle\(model"):
        bb.attack(P.target, X, Y, "square", bb.Linf(0.1))  # type: ignore[arg-type]


@pytest.mark.parametrize("given", [np.float64, np.float16])
def test_arrays_are_as_good_as_tensors(given: type) -> None:
    a = bb.attack(bb.Oracle(P.target, "logits", 3), X.numpy().astype(given), Y.numpy().astype(np.int32), "square", bb.Linf(0.1), 9)
    x = torch.from_numpy(X.numpy().astype(given)).float()
    b = bb.attack(bb.Oracle(P.target, "logits", 3), x, Y, "square", bb.Linf(0.1), 9)
    assert torch.equal(a.x_adv, b.x_adv) and torch.equal(a.queries, b.queries)


@pytest.mark.parametrize("kind", ["object", "category", "str"])
def test_labels_in_a_column_of_words(kind: str) -> None:
    words = pd.Series(["abc"[i] for i in Y.tolist()], index=range(7, 7 + len(Y)), dtype=kind)
    a = bb.attack(bb.Oracle(P.target, "logits", classes=["a", "b", "c"]), X, words, "square", bb.Linf(0.1), 9)
    assert torch.equal(a.y, Y)


@pytest.mark.parametrize("kind", ["u2", "u4", "u8", ">i8", "i1"])
def test_labels_of_any_integers(kind: str) -> None:
    a = bb.attack(bb.Oracle(P.target, "logits", 3), X.numpy(), Y.numpy().astype(kind), "square", bb.Linf(0.1), 9)
    assert torch.equal(a.y, Y)


def test_arrays_in_other_memory() -> None:
    """Big-endian, long, backwards, not to be written into: all of them the same images."""
    want = bb.attack(bb.Oracle(P.target, "logits", 3), X, Y, "square", bb.Linf(0.1), 9)
    locked = X.numpy().copy()
    locked.flags.writeable = False
    for x in (X.numpy().astype(">f4"), X.numpy().astype(np.longdouble), X.numpy()[::-1].copy()[::-1], locked):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = bb.attack(bb.Oracle(P.target, "logits", 3), x, Y, "square", bb.Linf(0.1), 9)
        assert torch.equal(got.x_adv, want.x_adv)


@pytest.mark.parametrize("scalar", [np.float32, np.float64, np.float16, torch.tensor])
def test_a_radius_of_numpy_or_torch(scalar: Any) -> None:
    made = bb.Linf(scalar(0.25))
    assert type(made.eps) is float and made == bb.Linf(0.25) and repr(made) == repr(bb.Linf(0.25))


def test_whole_numbers_of_numpy_or_torch() -> None:
    a = bb.attack(bb.Oracle(P.target, "logits", 3), X, Y, "square", bb.Linf(0.1), np.int32(9), seed=torch.tensor(4), cohort=np.uint8(2))
    b = bb.attack(bb.Oracle(P.target, "logits", 3), X, Y, "square", bb.Linf(0.1), 9, seed=4)
    assert torch.equal(a.x_adv, b.x_adv) and a.config["seed"] == 4 and type(a.config["budget"]) is int


@pytest.mark.parametrize("name", ["square", "auto", "fd-ifgsm", "simba", "sparse"])
def test_without_a_limit_but_the_box(name: str) -> None:
    """An infinite radius is the box, also for an attack that steps by its radius; none is asked about NaN."""
    kind = attacks.get(name)
    for norm in kind.norms:
        threat = {"Linf": bb.Linf, "L2": bb.L2, "L1": bb.L1, "L0": bb.L0}[norm](math.inf)
        seen = Recording(P.target)
        r = bb.attack(bb.Oracle(seen, "logits", 3, returns="logits"), X, Y, name, threat, 40)
        assert bool(seen.shown.isfinite().all()) and r.threat == threat and (name == "fd-ifgsm" or bool(r.success.all()))


@pytest.mark.parametrize("name", ["geoda", "qeba", "surfree"])
def test_rows_of_features_have_low_frequencies_too(name: str) -> None:
    p = affine_problem("L2", (16,))
    r = bb.attack(bb.Oracle(p.target, "labels", 3), p.x, p.y, name, bb.L2(math.inf), 200)
    first = torch.stack([r.trace[r.trace[:, 0] == i][0, 2] for i in range(5)])
    assert bool(r.success.all()) and bool((r.distance < 0.5 * first).all())


@pytest.mark.parametrize("end", [KeyboardInterrupt, ZeroDivisionError])
def test_whatever_ends_a_run_leaves_what_was_paid_for(end: type[BaseException]) -> None:
    class Stops(attacks.Square):  # type: ignore[name-defined]
        def step(self, t: Any, s: Any, k: int) -> Any:
            if k == 3:
                raise end
            return super().step(t, s, k)

    seen = Recording(P.target)
    oracle = bb.Oracle(seen, "logits", 3)
    with pytest.raises(end) as caught:
        bb.attack(oracle, X, Y, Stops(), bb.Linf(0.001), 50)
    r = caught.value.result  # type: ignore[attr-defined]
    assert int(r.queries.sum()) == oracle.rows == seen.count > 0 and set(r.status) == {bb.Status.ERROR}


@pytest.mark.parametrize("how", ["raise", "nan", "inf", "shape", "drop", "flat", "object"])
@pytest.mark.parametrize("attack", ["square", "nes", "simba"])
def test_a_target_that_fails_late(how: str, attack: str) -> None:
    """On the thousandth call: one sentence, and everything paid for in error.result."""
    seen = Recording(Failing(P.target, 1000, how))
    oracle = bb.Oracle(seen, "logits", 3, returns="logits", rows_per_call=1)
    with pytest.raises(bb.TargetError) as caught:
        bb.attack(oracle, X, Y, attack, bb.Linf(0.001), 5000)
    r = caught.value.result
    assert int(r.queries.sum()) == oracle.rows == 999 and oracle.failed == 1
    assert bb.Status.ERROR in r.status and r.x_adv.shape == X.shape
    assert len(str(caught.value)) > 40 and "\n" not in str(caught.value)
    if how in ("nan", "inf"):
        assert "That row belongs to sample" in str(caught.value)
    if how == "raise":
        assert "planned failure on call 1000" in str(caught.value) and "999 answered queries" in str(caught.value)


def test_a_target_of_chance_is_counted_and_reported() -> None:
    oracle = bb.Oracle(Noisy(P.target, 1.0, seed=3), "scores", 3, returns="logits")
    r = bb.attack(oracle, X, Y, "square", bb.Linf(0.001), 300)
    assert oracle.rows == int(r.queries.sum()) and (r.verified == 0).any() and "not adversarial in their verification query" in r.summary()
