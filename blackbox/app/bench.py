"""What lies on the table: images to choose from, nets to take gradients of, hidden targets behind counters."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from blackbox.oracle.oracle import Oracle, Reply
    from blackbox.specs import Images, Model, Nets
    from surrogates import Dataset

T = TypeVar("T")
THUMBNAILS = 24


class Once(Generic[T]):
    """Something that takes seconds to make, made when it is first wanted and then kept."""

    def __init__(self, make: Callable[[], T]) -> None:
        self._make, self._lock, self._made = make, threading.Lock(), False
        self._value: T

    def __call__(self) -> T:
        with self._lock:
            if not self._made:
                self._value, self._made = self._make(), True
        return self._value


class Recent:
    """The last few things that took long, by key. One page, a few visitors: last come, first kept."""

    def __init__(self, most: int) -> None:
        self.most, self.kept = most, OrderedDict[Any, Any]()

    def __call__(self, key: Any, make: Callable[[], T]) -> T:
        if key in self.kept:
            return self.kept[key]  # type: ignore[no-any-return]
        value = self.kept[key] = make()
        while len(self.kept) > self.most:
            self.kept.popitem(last=False)
        return value


@dataclass(frozen=True, eq=False)
class Shot:
    """The image in hand: [C, H, W] in [0, 1]. label: its true class, None where nobody knows (an upload).

    number: its place among the images offered, -1 of an upload. notice: what was done to it to fit.
    """

    image: Tensor
    label: int | None
    name: str
    number: int = -1
    notice: str = ""

    @property
    def key(self) -> str:
        """The same for the same pixels."""
        return hashlib.sha256(self.image.contiguous().numpy().tobytes()).hexdigest()


@dataclass(eq=False)
class Bench:
    """Images and models that belong together.

    Args:
        data: what the classes are called, and the images. surrogates, targets: by name, each made on first use.
        about: a sentence on where they come from. ink: grey images are ink on paper, drawn dark on white.
        most: the end of the epsilon slider. reach: eps with which a query attack begins.
        recent: answers of its models already had. Kept here, so that no bench is shown what another one asked.
    """

    data: Dataset
    surrogates: Mapping[str, Once[nn.Module]]
    targets: Mapping[str, Once[Model]]
    about: str = ""
    device: str | None = None
    most: float = 0.1
    reach: float = 0.1
    shots: list[Shot] = field(default_factory=list)
    recent: Recent = field(default_factory=lambda: Recent(200), repr=False)
    _viewers: dict[str, Oracle] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.RLock)

    def __post_init__(self) -> None:
        if not self.shots:
            self.shots = shots(self.data, torch.arange(min(THUMBNAILS, len(self.data))))

    @property
    def classes(self) -> tuple[str, ...]:
        return self.data.classes

    @property
    def ink(self) -> bool:
        return self.data.shape[0] == 1

    def net(self, name: str) -> nn.Module:
        """A surrogate, for gradients."""
        return self.surrogates[name]()

    def oracle(self, target: str, access: str | None = None, kind: type[Oracle] | None = None) -> Oracle:
        """A fresh counter before a target. ``access``: by default the most that this target can show."""
        from blackbox import specs

        access = access or self.viewer(target).access.name.lower()
        return specs.oracle(self.targets[target](), access, len(self.classes), self.device, kind=kind)

    def viewer(self, target: str) -> Oracle:
        """The counter through which the page itself looks at a target: its queries are on no attack's bill."""
        from blackbox.oracle.oracle import TargetError

        with self._lock:
            if target not in self._viewers:
                oracle, example = self.oracle(target, "scores"), self.shots[0].image[None]
                try:
                    oracle(example, purpose="first look")
                except TargetError as error:
                    if "labels only" not in str(error):
                        raise
                    oracle = self.oracle(target, "labels")
                    oracle(example, purpose="first look")
                self._viewers[target] = oracle
            return self._viewers[target]

    def look(self, target: str, x: Tensor, purpose: str = "look") -> Reply:
        """What a target shows of images [m, C, H, W]; counted by its viewer."""
        return self.viewer(target)(x, purpose=purpose)


def shots(data: Dataset, index: Tensor) -> list[Shot]:
    """Some images of a data set to choose from."""
    return [
        Shot(data.images[i], int(data.labels[i]), f"{data.name} {int(i)}", number)
        for number, i in enumerate(index.tolist())
    ]


def digits_bench(seed: int = 0, most: float = 0.1) -> Bench:
    """The embedded digits: six hidden targets, and two surrogates that were trained on 400 other images.

    The images offered begin with one on which the slider shows something: see `compute.order`.
    """
    from blackbox import specs
    from blackbox.app import compute
    from blackbox.specs import digits

    data, own = digits.parts()["attack"], digits.parts()["surrogate"]

    def copied() -> nn.Module:
        """As the demo's: from the answers of svm-rbf to 1,600 images, labels alone."""
        import surrogates as sg

        net = sg.build("mlp", classes=10, shape=own.shape, seed=seed)
        recipe = sg.Recipe(epochs=10, optimiser="adam", lr=2e-3)
        teacher = digits.oracle("svm-rbf", "labels", 256)
        return sg.train(net, specs.widen(own, 1600, seed), recipe, seed=seed, teacher=teacher, queries=1600)

    def supervised() -> nn.Module:
        import surrogates as sg

        net = sg.build("cnn", classes=10, shape=own.shape, seed=seed)
        return sg.train(net, own, sg.Recipe(epochs=30, optimiser="adam", lr=2e-3), seed=seed)

    def hidden(name: str) -> Once[Model]:
        return Once(lambda: specs.models(f"digits:{name}", data)[0])

    targets = {name: hidden(name) for name in ("svm-rbf", *(n for n in digits.NAMES if n != "svm-rbf"))}
    nets = {
        "mlp, taught by svm-rbf's labels": Once(lambda: ready(copied())),
        "cnn, trained on 400 own digits": Once(lambda: ready(supervised())),
        "mlp target itself (white box)": Once(lambda: ready(_net(targets["mlp"]()))),
    }
    bench = Bench(data, nets, targets, most=most, reach=0.2)
    order, bench.about = compute.order(bench, next(iter(nets)), "svm-rbf", THUMBNAILS)
    bench.shots = shots(data, order)
    return bench


def own_bench(
    target: list[str], surrogate: list[str], images: Images, nets: Nets, most: float, seed: int = 0
) -> Bench:
    """From specs of the command line. Without a surrogate the targets that are nets stand for it: a white box.

    Raises:
        ValueError, FileNotFoundError: a spec that names nothing, or models and images that do not fit.
    """
    from blackbox import specs
    from blackbox.app import compute

    chosen = specs.images(images, seed)
    data = chosen.data
    count = nets.classes or len(data.classes)
    found: dict[str, Model] = {}
    for model in specs.several(target, chosen, count, nets, seed):
        found[specs.free(model.name, found)] = model
    sources = specs.sources(surrogate, "--surrogate", chosen, count, nets, seed)
    if not sources:
        sources = {f"{name} itself (white box)": model.net for name, model in found.items() if model.net is not None}
    if not sources:
        raise ValueError(
            f"Expected --surrogate, a net to take gradients of, because {target[0]} has none. Train one from its answers: "
            f"blackbox surrogate --target {target[0]}"
        )
    made: dict[str, Once[nn.Module]] = {
        name: Once(lambda net=net: ready(net, nets.device))  # type: ignore[misc]
        for name, net in sources.items()
    }
    targets: dict[str, Once[Model]] = {name: Once(lambda model=model: model) for name, model in found.items()}  # type: ignore[misc]
    size = data.images[0].numel()
    reach = 0.2 if size < 1000 else 8 / 255
    bench = Bench(data, made, targets, device=nets.device, most=most, reach=reach)
    order, bench.about = compute.order(bench, next(iter(made)), next(iter(targets)), THUMBNAILS, len(bench.shots))
    bench.shots = shots(data, order)
    return bench


def _net(model: Model) -> nn.Module:
    assert isinstance(model.net, nn.Module)
    return model.net


def ready(net: nn.Module, device: str | None = None) -> nn.Module:
    """For good in eval mode and without parameter gradients, so that several visitors may use it at a time."""
    net = net if device is None else net.to(device)
    return net.eval().requires_grad_(False)
