"""Writes the scenarios of TransferBench as scenarios of the league, for whoever has the weights: blackbox/league/scenarios/transferbench.

What is here are facts of the files of pralab/transfer-bench (NeurIPS 2025, Datasets and Benchmarks track), as far as a public index has
them: victims, pools, data, norm, radius, budget. None of its text or code is. Where a fact is not known, the file says so. These are the
seventeen of the six campaigns that its own runs allow, etero, omeo and robust on either data set; a seventh has the three robust victims of
ImageNet at 32/255. How others count sixteen is not known.

    python -m experiments.studies.transferbench
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from blackbox.league.scenario import FOLDER
from experiments.runner import run, says

CNN, RES, VIT = ("inception_v3", "convnext_base", "vgg16"), ("resnet50", "resnext50_32x4d", "densenet121"), ("swin_b", "swin_t", "vit_b_32")
SMALL_CNN, SMALL_RES, SMALL_VIT = (
    ("vgg13_bn", "convnext_t", "vgg16_bn"), ("resnet44", "resnet32", "shufflenetv2_x1_0"), ("swin_b", "swin_t", "vit_b16"),
)  # fmt: skip
MIMIR, SPARSE = "Xu2024MIMIR_Swin-L", "Amini2024MeanSparse_Swin-L"
PENG, BARTOLDSON = "Peng2023Robust", "Bartoldson2024Adversarial_WRN-94-16"
HUB = {  # what stands behind a name of CIFAR-10 on Hugging Face's hub
    "swin_b": "Weili/swin-base-patch4-window7-224-in22k-finetuned-cifar10",
    "swin_t": "Skafu/swin-tiny-patch4-window7-224-cifar10 (in another version of the files hgolchha/"
              "swin-tiny-patch4-window7-224-finetuned-eurosat; which came last is not known)",
    "vit_b16": "aaraki/vit-base-patch16-224-in21k-finetuned-cifar10",
    "beit_b16": "jadohu/BEiT-finetuned",
    "convnext_t": "ahsanjavid/convnext-tiny-finetuned-cifar10",
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """A scenario: which campaign, the victim, the pool."""

    kind: str
    victim: str
    pool: tuple[str, ...]


IMAGENET = (
    Facts("hetero", "vgg19", (*RES, *VIT)), Facts("hetero", "resnext101_32x8d", (*CNN, *VIT)), Facts("hetero", "vit_b_16", (*CNN, *RES)),
    Facts("homo", "vgg19", CNN), Facts("homo", "resnext101_32x8d", RES), Facts("homo", "vit_b_16", VIT),
    Facts("robust", "pubdef_resnet50", RES), Facts("robust", MIMIR, VIT), Facts("robust", SPARSE, VIT),
)  # fmt: skip
CIFAR = (
    Facts("hetero", "vgg19_bn", (*SMALL_RES, *SMALL_VIT)), Facts("hetero", "resnet56", (*SMALL_CNN, *SMALL_VIT)),
    Facts("hetero", "vit_b16", (*SMALL_CNN, *SMALL_RES)),
    Facts("homo", "vgg19_bn", SMALL_CNN), Facts("homo", "resnet56", SMALL_RES), Facts("homo", "beit_b16", SMALL_VIT),
    Facts("robust", PENG, SMALL_RES), Facts("robust", BARTOLDSON, SMALL_RES),
)  # fmt: skip
ROBUST = (MIMIR, SPARSE, PENG, BARTOLDSON)
CAMPAIGN = {"hetero": "etero", "homo": "omeo", "robust": "robust"}
MEANT = {"hetero": "of other families than the target's", "homo": "of the target's family", "robust": "of the target's family, undefended"}


@dataclass(frozen=True)
class Data:
    """A data set: how its files are to be made, in comments, and what its nets are."""

    name: str
    scenarios: tuple[Facts, ...]
    classes: int
    quantity: int
    made: tuple[str, ...]
    more: tuple[str, ...] = field(default=())


DATA = (
    Data(
        "imagenet", IMAGENET, 1000, 1281167,
        (
            "images.npz     images uint8 [1000, 224, 224, 3], the pictures of the NIPS 2017 development set (Kaggle:",
            "               google-brain/nips-2017-adversarial-learning-development-set) in the order of their file names, resized",
            "               from 299 pixels; labels: its TrueLabel less 1",
            "targets.npy    its TargetClass less 1, whole numbers [1000]",
        ),
    ),
    Data(
        "cifar10", CIFAR, 10, 50000,
        (
            "images.npz     images uint8 [n, 32, 32, 3] of CIFAR-10's test set, and labels",
            "targets.npy    the class to reach for each of them, whole numbers [n]. Which images and classes TransferBench takes is in",
            "               a list of its own (image_id, target) that is not in the files seen, so that neither is known here",
        ),
    ),
)  # fmt: skip


def spec(data: str, name: str) -> str:
    """How a net is written as a model."""
    if name in ROBUST:
        return f"robustbench:{name}#dataset={data},folder=models"
    if name in ("inception_v3", "pubdef_resnet50"):  # torchvision turns the input of the first round once more for published weights
        return f"nets.py:{name}"
    if data == "imagenet":
        return f"torchvision:{name}:weights/{name}.pth"
    return f"hf:weights/{name}#resize=true" if name in HUB else f"nets.py:{name}"


def needed(data: str, name: str) -> str:
    """What has to be put where for a net, in words."""
    if name in ROBUST:
        return f"models/{data}/Linf/{name}.pt   of RobustBench, which keeps it there"
    if name == "pubdef_resnet50":
        return "nets.py        pubdef_resnet50(): imagenet_resnet50_pubdef of Kaggle's csitawarin/pubdef-defending-against-transfer-attacks"
    if name == "inception_v3":
        return "nets.py        inception_v3(): torchvision's, with its weights by default, behind ImageNet's mean and std, at 224 pixels"
    if data == "imagenet":
        return f"weights/{name}.pth   the weights that torchvision's get_model_weights({name!r}).DEFAULT names"
    if name in HUB:
        return f"weights/{name}   a folder with model and image processor: {HUB[name]}"
    return f"nets.py        {name}(): cifar10_{name} of torch.hub's chenyaofo/pytorch-cifar-models, with its normalisation inside"


def text(data: Data, facts: Facts) -> str:
    """The file of a scenario."""
    name = f"transferbench-{data.name}-{facts.kind}-{facts.victim}"
    nets = dict.fromkeys((facts.victim, *facts.pool))
    own = [each for each in nets if spec(data.name, each).startswith("nets.py")]
    head = [
        f"TransferBench (pralab/transfer-bench, NeurIPS 2025 Datasets and Benchmarks track): {CAMPAIGN[facts.kind]}-{data.name}-inf,",
        f"victim {facts.victim}. Facts alone; weights and images are not here. Written by experiments.studies.transferbench.",
        "",
        "Put into the folder that --data names:",
        *(f"  {line}" for line in data.made),
        *(f"  {needed(data.name, each)}" for each in nets),
    ]
    if own:
        head.append("A function of nets.py takes nothing and returns a net: logits of images in [0, 1], its normalisation inside.")
    head += [
        "",
        "There an attack has 50 queries, and the clean image is not asked about; here the clean check is the first of 51. There the",
        "attack sees logits. Not known: its seeds, and whether its figures are of one.",
    ]
    lines = [f"# {line}".rstrip() for line in head]
    lines += [
        "",
        f'name = "{name}"',
        f'about = "TransferBench: {facts.victim} on {data.name}, {len(facts.pool)} surrogates {MEANT[facts.kind]}, towards a class given '
        'for each image. What its files are is said at the head of the scenario."',
        'threat = "linf:16/255"', "budget = 51", "seeds = [0]", 'targeted = "targets.npy"', f"classes = {data.classes}", "",
        "[images]", 'data = "npz:images.npz"', "",
        "[[targets]]", f'name = "{facts.victim}"', f'model = "{spec(data.name, facts.victim)}"', "",
    ]  # fmt: skip
    for each in facts.pool:
        lines += ["[[surrogates]]", f'name = "{each}"', f'model = "{spec(data.name, each)}"', ""]
    lines += ["[attacker]", 'access = "queries"', 'feedback = "logits"', 'quality = "overlapping"', f"quantity = {data.quantity}"]
    return "\n".join(lines) + "\n"


def files() -> dict[str, str]:
    """The text of each scenario by its name."""
    return {f"{data.name}-{facts.kind}-{facts.victim.lower()}": text(data, facts) for data in DATA for facts in data.scenarios}


@dataclass(frozen=True)
class Settings:
    folder: str = says(str(FOLDER / "transferbench"), "where they are written")


def measure(s: Settings) -> None:
    folder = Path(s.folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name, made in files().items():
        (folder / f"{name}.toml").write_text(made, encoding="utf-8")
    print(f"{len(files())} scenarios in {folder}")


if __name__ == "__main__":
    run(Settings, measure)
