"""``robustbench:NAME``: models of the RobustBench leaderboard, from disk (Croce et al. 2021, arXiv:2010.09670; extra
``[robustbench]``)."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from blackbox.plain_text import did_you_mean
from blackbox.targets.packages import need
from surrogates.nets.libraries.net import LibraryNet

SHAPES = {"cifar10": (3, 32, 32), "cifar100": (3, 32, 32), "imagenet": (3, 224, 224)}


def robustbench(
    where: str,
    images: Sequence[int] | None = None,
    *,
    dataset: str = "cifar10",
    threat: str = "Linf",
    folder: str = "models",
    resize: bool = False,
) -> LibraryNet:
    """Load a model of the leaderboard whose weights are on disk, where RobustBench itself keeps them.

    Args:
        where: its name, ``Carmon2019Unlabeled``. dataset: cifar10, cifar100 or imagenet. threat: Linf, L2 or corruptions.
        folder: RobustBench's ``model_dir``; the weights are in ``folder/dataset/threat/NAME.pt``.
        images: the shape of the images it will be given. resize: resize them inside where it is another.

    Raises:
        ModuleNotFoundError: robustbench is not installed. FileNotFoundError: the weights are not there.
        ValueError: no such model, data set or threat.
    """
    with _zoo_alone():
        need("robustbench", "robustbench", f"robustbench:{where}")
        from robustbench.model_zoo import model_dicts
        from robustbench.model_zoo.enums import BenchmarkDataset, ThreatModel
        from robustbench.utils import load_model

    if dataset not in SHAPES:
        raise ValueError(f"Expected dataset to be one of {', '.join(SHAPES)}, but it was {dataset!r}.{did_you_mean(dataset, SHAPES)}")
    known = {each.value: each for each in ThreatModel if each in model_dicts[BenchmarkDataset(dataset)]}
    if threat not in known:
        raise ValueError(f"Expected threat to be one of {', '.join(known)}, but it was {threat!r}.{did_you_mean(threat, known)}")
    zoo = model_dicts[BenchmarkDataset(dataset)][known[threat]]
    if where not in zoo:
        raise ValueError(
            f"Expected a model of RobustBench for {dataset} and {threat}, but it was {where!r}.{did_you_mean(where, zoo)}"
            " Another data set or threat is named after #: dataset=imagenet,threat=L2."
        )
    if dataset == "imagenet" and "Standard" in where:  # these RobustBench would take from torchvision's server
        raise ValueError(f"Expected weights that RobustBench keeps, but {where} is torchvision's: torchvision:resnet50:IMAGENET1K_V2.")
    file = Path(folder) / dataset / threat / f"{where}.pt"
    several = zoo[where].get("gdrive_id")
    parts = [Path(f"{file}_m{i}.pt") for i in range(len(several))] if isinstance(several, list) else [file]
    if lacking := [part for part in parts if not part.is_file()]:
        raise FileNotFoundError(
            f"Expected the weights of {where} at {lacking[0]}, but they are not there; nothing is downloaded. Let RobustBench "
            f"fetch them once: robustbench.utils.load_model({where!r}, model_dir={folder!r}, dataset={dataset!r}, "
            f"threat_model={threat!r})."
        )
    with contextlib.redirect_stdout(io.StringIO()):
        net = load_model(where, model_dir=folder, dataset=dataset, threat_model=threat)
    classes = {"cifar10": 10, "cifar100": 100, "imagenet": 1000}[dataset]
    return LibraryNet(net, SHAPES[dataset], classes, (0.0,), (1.0,), name=where, images=images, resize=resize)


@contextlib.contextmanager
def _zoo_alone() -> Iterator[None]:
    """Import RobustBench's models without its evaluation: that needs AutoAttack, which is not on PyPI, and pkg_resources, which
    newer releases of setuptools no longer bring."""
    found = importlib.util.find_spec("robustbench") if "robustbench" not in sys.modules else None
    if found is None:
        yield
        return
    sys.modules["robustbench"] = importlib.util.module_from_spec(found)  # its __init__ is not run
    try:
        yield
    finally:
        del sys.modules["robustbench"]
