"""What a scenario of the league needs on this machine: images or rows, models and the files of its goal, written into the folder that its
paths start from. Nets and images are other people's (../shared/data/README.md, experiments/packaged.py) or were trained on the spot.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import surrogates as sg
from experiments import cases, ground, nets, packaged
from experiments.studies.tabular import cancer

ROOT = Path(__file__).resolve().parents[2]
OWN = {"vgg": nets.Plan("vgg", 45, 4e-3, "raw"), "cnn": nets.Plan("cnn", 60, 4e-3, "raw")}
BEGIN = "import sys\n\nsys.path[:0] = {folders!r}\n"
LOADED = "\ndef {name}():\n    import {module}\n    return {module}.load({weights!r})\n"
RESIZED = "\ndef {name}():\n    import torch, torchvision, {module}\n    to = torchvision.transforms.Resize({side}, antialias=True)\n" \
          "    return torch.nn.Sequential(to, {module}.load({weights!r}))\n"  # fmt: skip
PACKAGED = "\ndef {name}():\n    from pathlib import Path\n    import torch\n    from experiments import packaged\n" \
           "    return torch.nn.Sequential(packaged.{made}(Path({folder!r})){more})\n"  # fmt: skip


@dataclass(frozen=True)
class Ground:
    """fill: writes the files into a folder, given the roots of data and packages. sealed: the models of its slots. attacks: that play,
    some with surrogates of the pool."""

    fill: Callable[[Path, Path, Path], None]
    sealed: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ("noise", "square", "ripples")
    pool: tuple[str, ...] = ()


def images(where: Path, x: Tensor, labels: Any = None) -> Tensor:
    """Write images [N, 3, h, w] as 8 bits, with their labels; returns them as they are played."""
    levels = (255 * x).round().byte()
    np.savez(where / "images.npz", images=levels.numpy().transpose(0, 2, 3, 1), **({} if labels is None else {"labels": labels}))
    return levels / 255


def loaded(where: Path, root: Path, chosen: dict[str, tuple[str, str, int]]) -> None:
    """Write ``nets.py``: a function a net, of a loader and a file of weights; 0, or the side that the net wants."""
    text = BEGIN.format(folders=[str(root / "loaders")])
    for name, (module, weights, side) in chosen.items():
        path = str(root / "weights" / f"{weights}.safetensors")
        text += (RESIZED if side else LOADED).format(name=name, module=module, weights=path, side=side)
    (where / "nets.py").write_text(text)


def cifar(where: Path, root: Path, packages: Path) -> None:
    data = cases.raw(root, unfiltered=True)
    images(where, data.images, data.labels.numpy())
    shutil.copyfile(root / "cifar10_raw_train.npz", where / "own.npz")
    loaded(where, root, {
        "poolcnn": ("pool_cnn", "cifar10_poolcnn_augmix", 0), "robust": ("resnet_nb", "cifar10_resnet2b_adv", 0),
        "resnet8": ("resnet8", "cifar10_resnet8_w40", 0),
    })  # fmt: skip
    for name, plan in OWN.items():
        sg.save_weights(nets.trained(root, plan), where / f"{name}.safetensors")


def photographs(where: Path, root: Path, packages: Path) -> None:
    data, _ = ground.images("photographs", root, 224)
    images(where, data.images, data.labels.numpy())
    shutil.copyfile(root / "weights" / "imagenet_squeezenet1_0.safetensors", where / "squeezenet.safetensors")
    loaded(where, root, {
        "mobilenet": ("mobilenet_tf", "imagenet_mobilenet_v1_0.75_192", 192),
        "effnet": ("efficientnet_lite", "imagenet_efficientnet_lite0", 0),
    })  # fmt: skip


def of_package(where: Path, name: str, made: str, packages: Path, more: str = "") -> None:
    text = PACKAGED.format(name=name, made=made, folder=str(packages.resolve()), more=more)
    (where / "nets.py").write_text(BEGIN.format(folders=[str(ROOT)]) + text)


@torch.no_grad()
def faces(where: Path, root: Path, packages: Path) -> None:
    """The reference of a face is the descriptor of its own photograph, mirrored, as in `experiments.studies.goal_faces`."""
    shown, net = images(where, packaged.faces(packages, 150)), packaged.descriptor(packages)
    np.save(where / "references.npy", torch.cat([net(part.flip(3)) for part in shown.split(16)]).numpy())
    of_package(where, "descriptor", "descriptor", packages)


@torch.no_grad()
def moderation(where: Path, root: Path, packages: Path) -> None:
    """Labels are the words that the net itself gives."""
    data, _ = ground.images("photographs", root, 224)
    net = packaged.moderation(packages)
    shown = (255 * data.images).round() / 255
    images(where, shown, torch.cat([net(part).argmax(1) for part in shown.split(16)]).numpy())
    of_package(where, "service", "moderation", packages, ", torch.nn.Softmax(1)")


def table(where: Path, root: Path, packages: Path) -> None:
    """Table, rules and rows of `experiments.studies.tabular`; the sealed model is fitted on the other half of what there is to fit on."""
    from lightgbm import LGBMClassifier

    frame, y, kinds = cancer()
    attacked, _, fit = np.split(np.random.default_rng(7).permutation(len(frame)), [180, 260])  # as in the study of tables
    rows = frame.to_numpy(np.float64)
    for seed, (name, some) in enumerate((("trees", fit[::2]), ("kept", fit[1::2]))):
        model = LGBMClassifier(n_estimators=60, n_jobs=1, verbose=-1, random_state=seed).fit(rows[some], y[some])
        model.booster_.save_model(where / f"{name}.txt")
    head = ",".join([*frame.columns, "label"])
    lines = [",".join([*map(repr, rows[i].tolist()), str(y[i])]) for i in attacked]
    (where / "cancer.csv").write_text("\n".join([head, *lines]) + "\n")
    ranges = [f"{json.dumps(name)} = [{float(frame[name].min())!r}, {float(frame[name].max())!r}]" for name in frame.columns]
    words = [f"{kind} = {json.dumps(names)}" for kind, names in kinds.items()]
    (where / "rules.toml").write_text("\n".join(['label = "label"', *words, "[ranges]", *ranges]) + "\n")


GROUNDS = {
    "small": Ground(cifar, ("nets.py:resnet8",), ("noise", "square", "ripples", "hop-skip-jump", "hybrid"), tuple(OWN)),
    "small-imagenet": Ground(photographs, ("nets.py:effnet",), ("noise", "square", "ripples", "hybrid"), ("squeezenet",)),
    "small-faces": Ground(faces),
    "small-moderation": Ground(moderation),
    "small-table": Ground(table, ("kept.txt",), ("noise", "square", "simba", "evolution", "bayes-linear")),
}
