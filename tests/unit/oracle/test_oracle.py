"""Oracle: shows no more than it should, counts every row, and cannot be looked behind."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from blackbox.oracle import Oracle, TargetError
from blackbox.oracle.call_size import CallSize
from blackbox.protocol import Access
from blackbox.run import attack
from blackbox.testing import Affine, Constant, Failing, Noisy, Quantised, Recording, ReluNet
from blackbox.threat import Linf

SHAPE = (3, 4, 4)
NET = ReluNet.random(SHAPE, 4)
X = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(3))


def module() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 4))


class TestAccess:
    def test_labels(self) -> None:
        r = Oracle(NET, "labels", 4)(X)
        assert r.values is None and r.classes is None and torch.equal(r.label, NET(X).argmax(1))
        assert torch.equal(r.probabilities(), torch.nn.functional.one_hot(r.label, 4).float())

    def test_topk(self) -> None:
        r = Oracle(NET, "topk", 4, k=2)(X)
        p = NET(X).softmax(1)
        assert r.values is not None and r.classes is not None
        assert r.values.shape == r.classes.shape == (6, 2)
        assert torch.allclose(r.values, p.topk(2).values) and torch.equal(r.classes, p.topk(2).indices)
        assert torch.allclose(r.probabilities().sum(1), torch.ones(6))

    def test_scores_do_not_give_the_logits_away(self) -> None:
        shifted = Oracle(lambda x: NET(x) + 7, "scores", 4, returns="logits")(X)
        plain = Oracle(NET, "scores", 4, returns="logits")(X)
        assert plain.values is not None and shifted.values is not None
        assert torch.allclose(plain.values, NET(X).softmax(1)) and torch.allclose(plain.values, shifted.values, atol=1e-6)

    def test_logits(self) -> None:
        r = Oracle(NET, "logits", 4)(X)
        assert r.values is not None and torch.equal(r.values, NET(X))
        assert torch.allclose(r.probabilities(), NET(X).softmax(1))

    @pytest.mark.parametrize("access", ["topk", "scores", "logits"])
    def test_decimals_are_all_that_is_shown(self, access: str) -> None:
        oracle = Oracle(NET, access, 4, k=3, decimals=2)
        r = oracle(X)
        assert r.values is not None and torch.allclose(r.values, (r.values * 100).round() / 100, atol=1e-6)
        assert oracle.resolution == pytest.approx(0.01)

    def test_names_of_levels(self) -> None:
        assert Access.parse("top-k") is Access.TOPK and Access.parse(Access.LOGITS) is Access.LOGITS
        with pytest.raises(ValueError, match="labels, topk, scores, logits, answers, but it was 'grey'"):
            Oracle(NET, "grey", 4)


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"classes": 1}, "classes to be a whole number, at least 2, but it was 1"),
            ({"classes": 2.5}, "classes to be a whole number"),
            ({"access": "topk", "k": 9}, "k between 1 and 4"),
            ({"returns": "votes"}, "returns to be auto"),
            ({"max_rows": 0}, "at least 1"),
            ({"rows_per_call": 0}, "at least 1"),
            ({"rows_per_call": 2.5}, "rows_per_call to be a whole number, at least 1, but it was 2.5"),
            ({"max_rows": None}, "max_rows to be a whole number, at least 1, but it was None"),
            ({"k": 2.0}, "k to be a whole number, but it was 2.0"),
            ({"classes": True}, "classes to be a whole number"),
            ({"probe": -0.1}, "probe in"),
            ({"decimals": 0}, "use access='labels'"),
        ],
    )
    def test_bad_settings(self, settings: dict[str, Any], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            Oracle(NET, **{"classes": 4, **settings})

    def test_numbers_of_numpy_and_torch(self) -> None:
        oracle = Oracle(NET, "topk", np.int32(4), k=torch.tensor(2), max_rows=np.int64(3), rows_per_call=np.uint8(2))
        assert oracle(X).values.shape == (6, 2) and set(oracle.sizes) == {2}  # type: ignore[union-attr]

    def test_top_k_of_few_classes_lists_them_all(self) -> None:
        assert Oracle(NET, "topk", 4).k == 4 and Oracle(NET, "topk", 9).k == 5

    def test_what_is_no_target(self) -> None:
        for thing in (3, nn.Linear, "net.pt"):
            with pytest.raises(TypeError, match="torch module, a callable"):
                Oracle(thing)


class TestNothingLeaks:
    def test_no_gradient_passes(self) -> None:
        x = X.clone().requires_grad_()
        net = module()
        r = Oracle(net, "logits", 4)(x)
        assert r.values is not None and not r.values.requires_grad and r.values.grad_fn is None
        assert all(p.grad is None for p in net.parameters()) and x.grad is None

    def test_a_callable_that_wants_gradients_does_not_get_them(self) -> None:
        seen = []

        def sneaky(x: Tensor) -> Tensor:
            seen.append((x.requires_grad, torch.is_grad_enabled()))
            return NET(x)

        Oracle(sneaky, "scores", 4)(X.clone().requires_grad_())
        assert seen == [(False, False)]

    def test_eval_mode_and_back_to_it(self) -> None:
        net = module().train()
        oracle = Oracle(net, "logits", 4, rows_per_call=len(X))  # a call cut elsewhere may change last bits
        first = oracle(X).values
        for part in (net, net[2], net[3]):
            part.train()
            second = oracle(X).values
            assert first is not None and second is not None and torch.equal(first, second) and not part.training
        assert torch.equal(net[2].running_mean, torch.zeros(8))  # type: ignore[arg-type]

    def test_a_target_that_takes_gradients_inside_is_told_how(self) -> None:
        def inner(v: Tensor) -> Tensor:
            z = v.clone().requires_grad_()
            (g,) = torch.autograd.grad(NET(z).logsumexp(1).sum(), z)
            return NET((v - 0.01 * g.sign()).detach())

        def refused(v: Tensor) -> Tensor:
            with torch.enable_grad():
                return inner(v)

        def told(v: Tensor) -> Tensor:
            with torch.inference_mode(False), torch.enable_grad():
                return inner(v.clone())

        with pytest.raises(TargetError, match=r"lets no gradient pass: .* under torch.inference_mode\(False\)"):
            Oracle(refused, "scores", 4)(X)
        assert Oracle(told, "scores", 4)(X).values is not None

    def test_no_public_attribute_leads_to_the_target(self) -> None:
        net = module()
        oracle = Oracle(net, "labels", 4)
        oracle(X)
        secret = {id(net), *(id(p) for p in net.parameters())}
        todo, seen = [oracle], set()
        while todo:
            thing = todo.pop()
            if id(thing) in seen or isinstance(thing, (type, str, int, float, type(None))):
                continue
            seen.add(id(thing))
            assert id(thing) not in secret, "the target can be reached"
            if isinstance(thing, Oracle) or type(thing).__module__.startswith("blackbox"):
                todo += [getattr(thing, n) for n in dir(thing) if not n.startswith("_") and not callable(getattr(thing, n))]
        assert len(seen) > 3

    def test_the_target_cannot_write_into_the_run(self) -> None:
        x = X.clone()

        def vandal(v: Tensor) -> Tensor:
            out = NET(v)
            v.zero_()
            return out

        Oracle(vandal, "scores", 4)(x)
        assert torch.equal(x, X)

    @pytest.mark.parametrize("kind", ["module", "double", "scikit-learn"])
    def test_a_model_that_normalises_in_place(self, kind: str) -> None:
        """Its own copy of the images it may change: those of the run, and the user's, stay what they were asked as."""

        class InPlace(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.net = module()

            def forward(self, v: Tensor) -> Tensor:
                v.sub_(0.5)
                v.div_(0.25)
                return self.net(v)

        model: Any = InPlace().eval()
        if kind == "double":
            model = model.double()
        elif kind == "scikit-learn":
            from sklearn.linear_model import LogisticRegression
            from sklearn.pipeline import make_pipeline
            from sklearn.preprocessing import StandardScaler

            a = np.random.default_rng(0).random((60, 48)).astype(np.float32)
            model = make_pipeline(StandardScaler(copy=False), LogisticRegression()).fit(a.copy(), np.arange(60) % 4)
        x = X.clone()
        oracle = Oracle(model, "scores", 4)
        first = oracle(x)
        assert torch.equal(x, X)
        r = attack(Oracle(model, "scores", 4), x, first.label, "square", Linf(0.05), 12)
        assert torch.equal(x, X) and float((r.x_adv - X).abs().max()) <= 0.05 + 1e-6
        assert not (r.verified == 0).any()

    def test_answers_are_copies(self) -> None:
        kept = torch.zeros(6, 4)

        def reuses(v: Tensor) -> Tensor:
            kept.copy_(NET(v))
            return kept

        oracle = Oracle(reuses, "logits", 4, rows_per_call=6)
        first = oracle(X).values
        assert first is not None
        before = first.clone()
        oracle(X.flip(0))
        assert torch.equal(first, before)


class TestInputs:
    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
    def test_dtypes(self, dtype: torch.dtype) -> None:
        given = X.to(dtype)
        got = Oracle(module(), "logits", 4)(given).values
        want = Oracle(module(), "logits", 4)(given.float()).values
        assert got is not None and want is not None and torch.equal(got, want) and got.dtype == torch.float32

    def test_numpy_also_without_order(self) -> None:
        want = Oracle(NET, "logits", 4)(X).values
        got = Oracle(NET, "logits", 4)(np.asfortranarray(X.numpy().astype(np.float64))).values
        assert want is not None and got is not None and torch.equal(got, want)

    def test_a_half_precision_module(self) -> None:
        net = nn.Sequential(nn.Flatten(), nn.Linear(48, 4)).to(torch.float64)
        assert Oracle(net, "logits", 4)(X).values.dtype == torch.float32  # type: ignore[union-attr]

    @pytest.mark.parametrize(
        ("x", "message"),
        [
            (X * 255, r"sample 0 ranges from .* Divide by 255\?"),
            (X - 0.5, "Normalising belongs to the target"),
            ((X * 255).to(torch.uint8), "dtype was torch.uint8. Divide by 255"),
            (X[0, 0, 0], "Add the batch axis"),
            (X[:0], "at least one image"),
            (X.where(X.max() > X, torch.nan), "free of NaN"),
            ([object()], "torch tensor or a numpy array"),
        ],
    )
    def test_bad_images(self, x: Any, message: str) -> None:
        oracle = Oracle(NET, "scores", 4)
        with pytest.raises(ValueError, match=message):
            oracle(x)
        assert oracle.rows == 0 and oracle.failed == 0


class TestCounting:
    def test_rows_calls_and_purposes(self) -> None:
        seen = Recording(NET)
        oracle = Oracle(seen, "scores", 4, rows_per_call=4)
        oracle(X)
        oracle(X[:3], "train")
        oracle.submit(X[:2], "verify")
        assert oracle.rows == 9 and dict(oracle.counts) == {"user": 6, "train": 3, "verify": 2}
        assert oracle.calls == 4 == len(seen.sizes) and seen.count == 11
        assert sorted(oracle.sizes.elements()) == sorted(seen.sizes)

    @pytest.mark.parametrize("how", ["raise", "nan", "inf", "shape", "drop", "flat", "object", "interrupt"])
    def test_a_failed_call_is_kept_apart(self, how: str) -> None:
        oracle = Oracle(Failing(NET, 2, how), "scores", 4, rows_per_call=2)
        with pytest.raises(KeyboardInterrupt if how == "interrupt" else TargetError):
            oracle(X)
        assert oracle.rows == 2 and oracle.failed == 2 and oracle.calls == 1
        oracle(X)
        assert oracle.rows == 8

    def test_finding_the_call_size_costs_no_query(self) -> None:
        seen = Recording(NET)
        oracle = Oracle(seen, "scores", 4, max_rows=64)
        for n in (1, 5, 500, 3, 700):
            oracle(torch.rand(n, *SHAPE))
        assert oracle.rows == seen.count == 1209 and max(seen.sizes) <= 64 and min(seen.sizes) >= 1

    @pytest.mark.parametrize("best", [1, 8, 64, 512])
    def test_the_call_size_climbs_to_the_fastest(self, best: int) -> None:
        size = CallSize(1024)
        for _ in range(60):
            n = size.next(4099)
            size.tell(n, 1e-3 + n * 1e-4 + (max(0, n - best) ** 2) * 1e-4)
        fastest = max((2**i for i in range(3, 11)), key=lambda n: n / (1e-3 + n * 1e-4 + max(0, n - best) ** 2 * 1e-4))
        assert fastest / 2 <= size.best <= fastest * 2

    def test_the_call_size_follows_a_target_that_changes(self) -> None:
        """One noisy call must not fix the size for good."""
        size = CallSize(1024)
        for best in (512, 32):
            for _ in range(900):
                n = size.next(5000)
                size.tell(n, 1e-3 + n * 1e-4 + (max(0, n - best) ** 2) * 1e-4)
            assert size.best in (best // 2, best, best * 2)

    def test_a_slow_first_call_of_a_size_is_forgotten(self) -> None:
        size, seen = CallSize(1024), set()
        for _ in range(40):
            n = size.next(100_000)
            size.tell(n, 1e-3 + n * 1e-4 + 10 * (n not in seen))
            seen.add(n)
        assert size.best >= 256  # from there on the rates differ by less than 2 %

    @pytest.mark.parametrize("waiting", [1, 7, 8, 9, 100, 1023, 1025, 5000])
    def test_a_call_is_never_larger_than_what_waits_or_is_allowed(self, waiting: int) -> None:
        size = CallSize(100)
        for _ in range(20):
            n = size.next(waiting)
            assert 1 <= n <= min(waiting, 100)
            size.tell(n, 1e-3)


class TestTargets:
    def test_labels_are_recognised(self) -> None:
        r = Oracle(lambda x: NET(x).argmax(1), "labels", 4)(X)
        assert torch.equal(r.label, NET(X).argmax(1))
        with pytest.raises(TargetError, match=r"returns labels only.*access='labels'"):
            Oracle(lambda x: NET(x).argmax(1), "scores", 4)(X)

    def test_labels_out_of_range(self) -> None:
        for wrong in (7, -1):
            with pytest.raises(TargetError, match=rf"labels from 0 to 3 .*answered {wrong}"):
                Oracle(lambda x, w=wrong: torch.full((len(x),), w), "labels", 4)(X)

    def test_probabilities_are_recognised_and_give_no_logits(self) -> None:
        def p(x: Tensor) -> Tensor:
            return NET(x).softmax(1)

        assert torch.allclose(Oracle(p, "scores", 4)(X).values, p(X))  # type: ignore[arg-type]
        with pytest.raises(TargetError, match=r"returns probabilities.*Use access='scores'"):
            Oracle(p, "logits", 4)(X)

    @pytest.mark.parametrize("decimals", [2, 3])
    def test_rounded_probabilities_are_no_logits(self, decimals: int) -> None:
        """Their rows sum to 1 but for the rounding; a softmax of them would level every confidence."""

        def p(x: Tensor) -> Tensor:
            return NET(x).softmax(1).round(decimals=decimals)

        rounded = p(X)
        if decimals == 2:  # the case that a tolerance alone would miss
            rounded[0], rounded[1] = torch.tensor([0.32, 0.33, 0.33, 0.0]), torch.tensor([0.95, 0.02, 0.02, 0.02])
        r = Oracle(lambda x: rounded, "scores", 4, rows_per_call=6)(X)
        assert torch.equal(r.values, rounded) and float(r.confidence()[0]) == pytest.approx(float(rounded[0].max()))  # type: ignore[arg-type]

    def test_logits_between_0_and_1_are_logits(self) -> None:
        low = torch.tensor([[0.31, 0.333, 0.3, 0.0], [0.9, 0.05, 0.0, 0.0127]]).repeat(3, 1)
        r = Oracle(lambda x: low, "scores", 4, rows_per_call=6)(X)
        assert torch.allclose(r.values, low.softmax(1))  # type: ignore[arg-type]

    @pytest.mark.parametrize("announced", [True, False])
    def test_logits_are_not_taken_for_probabilities(self, announced: bool) -> None:
        calls = []

        def turns(x: Tensor) -> Tensor:
            calls.append(len(x))
            return NET(x) if announced or len(calls) > 1 else NET(x).softmax(1)

        oracle = Oracle(turns, "scores", 4, returns="probabilities" if announced else "auto", rows_per_call=6)
        if not announced:
            oracle(X)
        with pytest.raises(TargetError, match=r"Expected probabilities .*scores from -.* Oracle\(..., returns='logits'\)"):
            oracle(X)
        assert oracle.failed == 6

    def test_labels_as_floats(self) -> None:
        r = Oracle(lambda x: NET(x).argmax(1).double(), "labels", 4)(X)
        assert torch.equal(r.label, NET(X).argmax(1))
        with pytest.raises(TargetError, match="one number a row such as 0.25"):
            Oracle(lambda x: torch.full((len(x),), 0.25), "labels", 4, returns="labels")(X)

    def test_a_row_axis_that_is_dropped_for_one_image(self) -> None:
        scores, labels = Oracle(lambda x: NET(x).squeeze(), "logits", 4)(X[:1]), Oracle(lambda x: NET(x).argmax(1).squeeze(), "labels", 4)
        assert torch.equal(scores.values, NET(X[:1])) and torch.equal(labels(X[:1]).label, NET(X[:1]).argmax(1))  # type: ignore[arg-type]
        with pytest.raises(TargetError, match=r"one answer for each of the 1 images .* returned shape \(5,\).* squeeze\(1\)"):
            Oracle(lambda x: torch.zeros(5), "scores", 4)(X[:1])

    def test_numpy_callable(self) -> None:
        from blackbox.targets.function import FunctionTarget

        def f(x: np.ndarray) -> np.ndarray:
            assert isinstance(x, np.ndarray)
            out = NET(torch.from_numpy(x)).numpy()
            x[:] = 0
            return out

        r = Oracle(FunctionTarget(f, numpy=True, name="f"), "logits", 4)(X)
        assert torch.equal(r.values, NET(X))  # type: ignore[arg-type]

    def test_scikit_learn(self) -> None:
        from sklearn.ensemble import RandomForestClassifier
        from sklearn.linear_model import LogisticRegression
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import LinearSVC

        rng = np.random.default_rng(0)
        a, b = rng.random((60, 48)), rng.integers(0, 4, 60)
        forest = RandomForestClassifier(5, random_state=0).fit(a, b)
        r = Oracle(forest, "scores", 4)(X)
        assert np.allclose(r.values.numpy(), forest.predict_proba(X.flatten(1).numpy()))  # type: ignore[union-attr]
        pipe = make_pipeline(StandardScaler(), LogisticRegression()).fit(a, b)
        assert Oracle(pipe, "scores", 4).name == "LogisticRegression"
        assert Oracle(pipe, "scores", 4)(X).values.shape == (6, 4)  # type: ignore[union-attr]
        svc = LinearSVC().fit(a, b)
        assert torch.equal(Oracle(svc, "labels", 4)(X).label, torch.from_numpy(svc.predict(X.flatten(1).numpy())))
        with pytest.raises(TargetError, match="labels only"):
            Oracle(svc, "scores", 4)(X)
        with pytest.raises(ValueError, match="Call fit first"):
            Oracle(RandomForestClassifier(), "scores", 4)
        with pytest.raises(ValueError, match=r"to be 0..3, but they were \[1, 2, 3, 4\]"):
            Oracle(RandomForestClassifier(3).fit(a, b + 1), "scores", 4)
        with pytest.raises(ValueError, match=r"classes=4, the number that LinearSVC has, but it was 10. .*--classes 4"):
            Oracle(svc, "labels", 10)

    @pytest.mark.parametrize(
        ("how", "message"),
        [
            ("raise", "raised RuntimeError on a call with 6 images.*planned failure"),
            ("nan", "Expected finite scores.*row 0 of a call with 6"),
            ("inf", "Expected finite scores.*row 0 of a call with 6"),
            ("shape", r"shape \(6, 4\), a score for each class, .*returned shape \(6, 5\). If it has 5 classes, pass classes=5"),
            ("drop", "one answer for each of the 6 images.*must not drop"),
            ("flat", r"returned shape \(6,\)"),
            ("object", "return a tensor or array, but it returned object"),
        ],
    )
    def test_bad_answers(self, how: str, message: str) -> None:
        for access in ("scores", "logits", "topk", "labels"):
            with pytest.raises(TargetError, match=message):
                Oracle(Failing(NET, 1, how), access, 4, k=2, returns="logits", rows_per_call=6)(X)

    def test_an_error_of_many_lines_is_told_in_one(self) -> None:
        def torn(x: Tensor) -> Tensor:
            raise RuntimeError("mat1 and mat2\n  cannot be multiplied\n")

        with pytest.raises(TargetError, match=r"answered queries: mat1 and mat2 cannot be multiplied.$"):
            Oracle(torn, "scores", 4)(X)

    def test_a_hidden_class_may_have_probability_zero(self) -> None:
        """-inf among logits is a mask that many models use; it is an answer."""
        mask = torch.tensor([0.0, 0.0, -torch.inf, 0.0])
        r = Oracle(lambda x: NET(x) + mask, "scores", 4, returns="logits")(X)
        assert r.values is not None and bool((r.values[:, 2] == 0).all()) and torch.isfinite(r.values).all()
        with pytest.raises(TargetError, match="Expected finite scores"):
            Oracle(lambda x: NET(x) - torch.inf, "scores", 4, returns="logits")(X)


class TestAnalyticTargets:
    def test_affine_optimum_is_on_the_boundary(self) -> None:
        from blackbox.testing import affine_problem

        for norm in ("Linf", "L2", "L1"):
            for targeted in (False, True):
                p = affine_problem(norm, SHAPE, 20, targeted=targeted)
                for beyond, fooled in ((0.999, False), (1.001, True)):
                    there = p.target.nearest(p.x, p.y, norm, beyond)
                    assert bool(((there >= 0) & (there <= 1)).all())
                    label = Affine(p.target.weight.double(), p.target.bias.double())(there).argmax(1)
                    assert bool(((label != p.y) == fooled).all())
                    far = (there - p.x.double()).flatten(1)
                    size = far.abs().amax(1) if norm == "Linf" else far.norm(dim=1) if norm == "L2" else far.abs().sum(1)
                    assert torch.allclose(size, beyond * p.optimum, rtol=1e-6)

    def test_targeted_distance_needs_two_classes(self) -> None:
        with pytest.raises(ValueError, match="two classes"):
            target = Affine(torch.randn(3, 2), torch.zeros(3))
            target.distance(torch.rand(1, 2), torch.tensor([0]), "L2", torch.tensor([1]))

    def test_row_exact(self) -> None:
        x = torch.rand(40, *SHAPE)
        p = Affine(torch.randn(5, *SHAPE), torch.randn(5))
        for target in (NET, p, Quantised(p), Quantised(NET, None, 2), Constant()):
            whole = target(x)
            assert torch.equal(torch.cat([target(part) for part in x.split(1)]), whole)
            assert torch.equal(torch.cat([target(part) for part in x.split(7)]), whole)

    def test_noise_is_a_function_of_the_row_number(self) -> None:
        one, two = Noisy(NET, 0.5, seed=1), Noisy(NET, 0.5, seed=1)
        assert torch.equal(torch.cat([one(p) for p in X.split(2)]), two(X))
        assert not torch.equal(two(X), NET(X)) and not torch.equal(Noisy(NET, 0.5, seed=2)(X), Noisy(NET, 0.5, seed=1)(X))
        wide = Noisy(Constant(), 0.5)(torch.rand(4000, 2)) - Constant()(torch.rand(4000, 2))
        assert float(wide.std()) == pytest.approx(0.5, rel=0.03)

    def test_sphere_and_quadratic(self) -> None:
        from blackbox.testing import Quadratic, Sphere

        centre = torch.full(SHAPE, 0.5)
        ball = Sphere(centre, 0.7)
        edge = centre + 0.7 * torch.nn.functional.normalize(torch.rand(48) - 0.5, dim=0).view(SHAPE)
        inner, outer = centre + 0.99 * (edge - centre), centre + 1.01 * (edge - centre)
        assert ball(torch.stack([inner, outer])).argmax(1).tolist() == [0, 1]
        assert ball.distance(torch.stack([inner, centre])).tolist() == pytest.approx([0.007, 0.7], abs=1e-4)
        q = Quadratic(torch.randn(SHAPE), torch.randn(SHAPE), centre)
        x = X.clone().requires_grad_()
        out = q(x)
        (g,) = torch.autograd.grad((out[:, 1] - out[:, 0]).sum(), x)
        assert torch.allclose(g, q.gradient(X), atol=1e-5)

    def test_an_unknown_failure(self) -> None:
        with pytest.raises(ValueError, match="how to be one of"):
            Failing(NET, 1, "explode")
