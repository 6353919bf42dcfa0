"""fd-fgsm, fd-ifgsm, nes, spsa, zo-signsgd, simba: bills, plans, closed forms, batch mates, resuming."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

import blackbox as bb
from blackbox import attacks, estimators
from blackbox.attacks import FDFGSM, FDIFGSM, NES, SPSA, SimBA, ZOSignSGD
from blackbox.proposals import bases
from blackbox.rowwise import row_sum

SHAPE = (1, 6, 6)
W = torch.randn(3, *SHAPE, generator=torch.Generator().manual_seed(0))


def linear(z: Tensor) -> Tensor:
    """Logits that add in a fixed order: a row is answered the same in any company."""
    return torch.stack([row_sum((z - 0.5) * w) for w in W], 1)


def data(n: int = 12) -> tuple[Tensor, Tensor]:
    x = torch.rand(n, *SHAPE, generator=torch.Generator().manual_seed(1)) * 0.6 + 0.2
    return x, linear(x).argmax(1)


def stubborn(z: Tensor) -> Tensor:
    """Never fooled, yet not flat: class 0 leads by 3 to 9, less with the sum of the image."""
    s = row_sum((z - 0.5) * W[0]).tanh()
    return torch.stack([6 - 3 * s, torch.zeros_like(s), torch.zeros_like(s)], 1)


def run(model, attack, threat=None, budget=400, oracle_access="logits", **settings):
    oracle = bb.Oracle(model, oracle_access, 3)
    x, y = data()
    if model is stubborn:
        y = torch.zeros(len(x), dtype=torch.int64)
    result = bb.attack(oracle, x, y, attack, threat=threat or bb.Linf(0.1), budget=budget, **settings)
    assert oracle.rows == int(result.queries.sum())
    return result


PCA = bases.pca(torch.rand(50, *SHAPE, generator=torch.Generator().manual_seed(9)), 10)
VARIANTS = {
    "fd-fgsm": FDFGSM(),
    "fd-fgsm one-sided": FDFGSM(two_sided=False),
    "fd-fgsm groups": FDFGSM(method="groups", size=4),
    "fd-fgsm pca": FDFGSM(estimator=estimators.Subspace(PCA)),
    "fd-fgsm dct": FDFGSM(method="dct", count=12),
    "fd-fgsm tiles": FDFGSM(method="tiles", size=2),
    "fd-fgsm blocks gradually": FDFGSM(method="blocks", size=8, gradually=True),
    "fd-fgsm dct gradually": FDFGSM(method="dct", count=16, gradually=True),
    "fd-ifgsm": FDIFGSM(),
    "fd-ifgsm groups": FDIFGSM(method="groups", size=4, steps=None),
    "fd-ifgsm coarse to fine": FDIFGSM(estimator=estimators.Groups(size=16, finest=2), momentum=1.0),
    "fd-ifgsm dct one-sided": FDIFGSM(method="dct", count=12, two_sided=False, steps=3),
    "nes": NES(samples=20),
    "spsa": SPSA(samples=20),
    "zo-signsgd": ZOSignSGD(samples=15),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("budget", [1, 2, 3, 7, 40, 99, 400])
def test_the_plan_is_what_is_paid(name: str, budget: int) -> None:
    attack = VARIANTS[name]
    plan = attack.plan(SHAPE, budget)
    result = run(stubborn, attack, budget=budget)
    assert not result.success.any()
    paid = result.queries.unique().tolist()
    assert len(paid) == 1 and paid[0] <= budget
    assert paid[0] == plan.total
    assert str(plan).startswith("1 query" if plan.steps else "The budget")
    assert plan.total - (sum(plan.gradient) + plan.steps + 1) in (0, 1, 2)  # too few for a difference and a candidate
    assert not plan.steps or f"{plan.total} at most" in str(plan)


@pytest.mark.parametrize("method, bill", [("full", 72), ("groups", 18), ("dct", 20), ("tiles", 18)])
def test_fd_fgsm_costs_its_paper_bill(method: str, bill: int) -> None:
    attack = FDFGSM(method=method, size=2 if method == "tiles" else 4, count=10)
    assert attack.plan(SHAPE, 1000).gradient == (bill,)
    result = run(stubborn, attack, budget=1000)
    assert (result.queries == bill + 2).all()
    assert all(status is bb.Status.GAVE_UP for status in result.status)


@pytest.mark.parametrize("threat", [bb.Linf, bb.L2, bb.L1])
@pytest.mark.parametrize("attack", [FDFGSM(), FDFGSM(method="groups", size=8, gradually=True)])
def test_fd_fgsm_reaches_the_closed_form_on_a_linear_target(threat, attack) -> None:
    """The nearest boundary in each norm: margin over the gradient's dual norm. 2 % beyond succeeds, 2 % short does not."""

    def two(z: Tensor) -> Tensor:
        return linear(z)[:, :2]

    x, _ = data()
    y = two(x).argmax(1)
    dual = {"Linf": 1, "L2": 2, "L1": torch.inf}[threat.norm]
    nearest = (two(x)[:, 0] - two(x)[:, 1]).abs() / (W[0] - W[1]).flatten().norm(p=dual)
    inside = ((nearest < 0.18) & (nearest > 0.001)).nonzero()[:, 0].tolist()  # x lies 0.2 inside the box
    assert len(inside) >= 2
    for i in inside:
        for factor in (1.02, 0.98):
            result = bb.attack(
                bb.Oracle(two, "logits", 2), x[i : i + 1], y[i : i + 1], attack, threat(float(nearest[i]) * factor), 500
            )
            assert bool(result.success[0]) is (factor > 1)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("threat", [bb.Linf(0.1), bb.L2(0.5)])
def test_a_linear_target_falls(name: str, threat) -> None:
    result = run(linear, VARIANTS[name], threat, budget=600)
    assert result.success.float().mean() >= 0.5
    assert (result.distance[result.success] <= threat.eps + threat.tolerance).all()


@pytest.mark.parametrize("name", ["nes", "spsa", "zo-signsgd", "fd-fgsm", "fd-ifgsm", "simba"])
def test_targeted(name: str) -> None:
    x, y = data()
    oracle = bb.Oracle(linear, "scores", 3)
    result = bb.attack(oracle, x, y, name, threat=bb.Linf(0.25), budget=1500, target=(y + 1) % 3)
    assert result.success.float().mean() > 0.7
    assert (linear(result.x_adv).argmax(1) == (y + 1) % 3)[result.success].all()


# of what the contract asks of every attack with its defaults: settings that take another way through the code
OTHERS = [*(made for name, made in VARIANTS.items() if name.startswith("fd")), NES(samples=12, own=True), SimBA("dct")]


@pytest.mark.parametrize("attack", OTHERS, ids=lambda a: repr(a)[:40])
def test_results_do_not_depend_on_batch_mates(attack) -> None:
    x, y = data()
    whole = run(linear, attack, bb.Linf(0.05), budget=150)
    for cohort in (1, 4):
        again = run(linear, attack, bb.Linf(0.05), budget=150, cohort=cohort)
        assert torch.equal(again.x_adv, whole.x_adv) and torch.equal(again.queries, whole.queries)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(4))
    oracle = bb.Oracle(linear, "logits", 3)
    mixed = bb.attack(
        oracle, x[order], y[order], attack, threat=bb.Linf(0.05), budget=150, ids=order.numpy().astype(np.uint64)
    )
    assert torch.equal(mixed.x_adv, whole.x_adv[order]) and torch.equal(mixed.queries, whole.queries[order])


@pytest.mark.parametrize("attack", OTHERS, ids=lambda a: repr(a)[:40])
def test_stop_and_resume_is_bit_equal(attack, tmp_path) -> None:
    x, y = data()
    whole = run(linear, attack, bb.Linf(0.05), budget=120)

    class Flaky:
        left = int(whole.queries.sum()) * 2 // 3

        def __call__(self, z: Tensor) -> Tensor:
            self.left -= len(z)
            if self.left < 0:
                raise OSError("gone")
            return linear(z)

    kept = {"threat": bb.Linf(0.05), "budget": 120, "checkpoint": tmp_path / "run.ckpt"}
    oracle = bb.Oracle(Flaky(), "logits", 3)
    try:
        bb.attack(oracle, x, y, attack, **kept)
        raise AssertionError("the target was to fail")
    except bb.TargetError:
        pass
    fresh = bb.Oracle(linear, "logits", 3)
    resumed = bb.attack(fresh, x, y, attack, **kept)
    assert oracle.rows + fresh.rows == int(whole.queries.sum())
    assert torch.equal(resumed.x_adv, whole.x_adv) and torch.equal(resumed.queries, whole.queries)


def test_a_success_within_a_sweep_stops_the_paying() -> None:
    """At the boundary the first probes already fool the target; the other 3,000 are not asked."""
    x = torch.full((1, 3, 32, 32), 0.5)
    target = bb.Oracle(lambda z: torch.stack([1e-4 - (z.flatten(1) - 0.5).sum(1), 0 * z[:, 0, 0, 0]], 1), "logits", 2)
    result = bb.attack(target, x, torch.zeros(1, dtype=torch.int64), "fd-ifgsm", threat=bb.Linf(0.1), budget=7000)
    assert result.success[0] and result.first_success_query[0] == 2 and result.queries[0] <= 129


def test_an_estimate_gradually_made_stops_at_the_coarse_round() -> None:
    """A loss that depends on the image's mean needs only the coarsest blocks."""
    x = torch.full((2, 1, 8, 8), 0.5)
    model = lambda z: torch.stack([0.55 - z.flatten(1).mean(1), 0 * z[:, 0, 0, 0]], 1)  # noqa: E731
    attack = FDFGSM(method="blocks", size=32, gradually=True)
    result = bb.attack(bb.Oracle(model, "logits", 2), x, torch.zeros(2, dtype=torch.int64), attack, threat=bb.Linf(0.1))
    assert result.success.all() and (result.queries == 1 + 4 + 1).all()


@pytest.mark.parametrize("name", ["fd-fgsm", "fd-ifgsm", "nes", "spsa", "zo-signsgd"])
def test_a_quantised_target_is_attacked_with_enlarged_probes(name: str) -> None:
    x, y = data()
    x = (x * 255).round() / 255

    def model(z: Tensor) -> Tensor:
        return linear((z * 255).round() / 255)

    blind = {"h": 0.0005} if name != "nes" else {"sigma": 0.0005}
    attack = attacks.build(name, **blind)
    rate = {}
    for probe in (0.0, 1 / 255):
        oracle = bb.Oracle(model, "logits", 3, probe=probe)
        rate[probe] = bb.attack(oracle, x, y, attack, threat=bb.Linf(0.12), budget=800).success.float().mean()
    assert rate[1 / 255] >= 0.5
    if name != "zo-signsgd":  # its steps leave the levels, where even a small one-sided probe tips a few pixels over
        assert rate[0.0] <= 0.5 * rate[1 / 255]


class Log:
    """A linear target that keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def __call__(self, z: Tensor) -> Tensor:
        self.seen.append(z.clone())
        return linear(z)


@pytest.mark.parametrize("basis", ["pixel", "dct", bases.Tiles(2)])
def test_simba_is_its_algorithm(basis) -> None:
    """Replayed step by step: +step, else -step, kept when the loss rises; 1 or 2 queries; each direction once."""
    x, y = data(1)
    log = Log()
    attack = SimBA(basis, step_size=0.05)
    result = bb.attack(bb.Oracle(log, "logits", 3), x, y, attack, threat=bb.L2(0.12), budget=40)
    points = torch.cat(log.seen)[: int(result.queries[0])]
    directions = bases.tensor(attack.directions(SHAPE), SHAPE)
    loss = lambda z: float(linear(z)[0].scatter(0, y, -torch.inf).max() - linear(z)[0, y[0]])  # noqa: E731
    current, at, used, rng = x, 1, [], __import__("blackbox.rng").rng.Stream(0, np.zeros(1, np.uint64))
    order = rng.permutation(0, "order", len(directions))[0].tolist()
    k = 0
    while at < len(points):
        move = 0.05 * directions[order[k % len(order)]]
        used.append(order[k % len(order)])
        for sign in (1, -1):
            if at >= len(points):
                break
            point = bb.L2(0.12).project(current + sign * move, x)
            torch.testing.assert_close(points[at : at + 1], point)
            at += 1
            if loss(point) > loss(current):
                current = point
                break
        k += 1
        if k == len(order):
            break
    assert len(set(used)) == len(used)
    assert k > 3


def test_simba_begins_a_fresh_order_when_directions_run_out() -> None:
    x, y = data(2)
    result = bb.attack(
        bb.Oracle(stubborn, "logits", 3), x, torch.zeros_like(y), SimBA(bases.DCT(most=3)), threat=bb.Linf(0.01), budget=60
    )
    assert (result.queries == 60).all()


def test_simba_reads_low_frequencies_on_large_images() -> None:
    assert SimBA("dct").directions((3, 224, 224)).count((3, 224, 224)) == 3 * 28 * 28
    assert SimBA("dct").directions((3, 32, 32)).count((3, 32, 32)) == 3 * 32 * 32
    assert SimBA("dct", low=0.5).directions((3, 32, 32)).count((3, 32, 32)) == 3 * 16 * 16


@pytest.mark.parametrize("name", ["nes", "spsa", "zo-signsgd", "simba"])
def test_a_norm_that_is_not_served_is_refused(name: str) -> None:
    x, y = data()
    with pytest.raises(bb.UnsupportedThreat, match="Expected a threat in"):
        bb.attack(bb.Oracle(linear, "logits", 3), x, y, name, threat=bb.L1(1.0), budget=10)


@pytest.mark.parametrize("name", ["fd-fgsm", "fd-ifgsm", "nes", "spsa", "zo-signsgd", "simba"])
def test_labels_alone_are_too_little(name: str) -> None:
    x, y = data()
    with pytest.raises(bb.AccessError):
        bb.attack(bb.Oracle(linear, "labels", 3), x, y, name, threat=bb.Linf(0.1), budget=10)


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: FDFGSM(method="fully"), "method to be one of full, groups"),
        (lambda: FDFGSM(method="pca"), "images of the attacker's own"),
        (lambda: FDIFGSM(steps=0), "steps of at least 1"),
        (lambda: SimBA("haar"), "pixel, dct"),
        (lambda: SimBA(step_size=0.0), "step_size > 0"),
        (lambda: NES(samples=3).estimator, "even number"),
    ],
)
def test_settings_that_cannot_be_say_so(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def test_pca_from_a_file(tmp_path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 6, 6), dtype=np.uint8)
    np.savez(tmp_path / "mine.npz", images=images)
    attack = FDFGSM(method="pca", images=str(tmp_path / "mine.npz"), count=5)
    same = FDFGSM(method="pca", images=torch.from_numpy(images)[:, None].float() / 255, count=5)
    assert attack.plan(SHAPE, 100).gradient == (10,)
    assert repr(attack) == repr(same)
    np.savez(tmp_path / "other.npz", x=images)
    with pytest.raises(ValueError, match="an array named images"):
        FDFGSM(method="pca", images=str(tmp_path / "other.npz"))
