"""Models of other libraries: each answers as the library itself does on the same images, and is loaded by its spec."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import blackbox as bb
import surrogates as sg
from blackbox import specs
from blackbox.specs.model import file_print
from blackbox.targets import BoosterTarget, JaxTarget, KerasTarget, TfliteTarget, as_target
from surrogates import Dataset
from surrogates.nets import logits

RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)  # as the libraries take them
X = torch.from_numpy(BYTES).permute(0, 3, 1, 2).float() / 255  # as we do
WORDS = ("cat", "dog", "owl")
GREY = torch.rand(6, 1, 8, 8, generator=torch.Generator().manual_seed(0))
ROWS = GREY.flatten(1).numpy()
LABELS = np.arange(6) % 3


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that the models are written into once, and the working folder."""
    folder, before = tmp_path_factory.mktemp("libraries"), Path.cwd()
    os.chdir(folder)
    yield folder
    os.chdir(before)


def data(x: torch.Tensor = X, words: tuple[str, ...] = WORDS) -> Dataset:
    return Dataset(x, torch.from_numpy(np.arange(len(x)) % len(words)), words)


def same(ours: Any, theirs: Any) -> None:
    torch.testing.assert_close(torch.as_tensor(np.asarray(ours)), torch.as_tensor(np.asarray(theirs)), atol=1e-5, rtol=1e-5)


def differentiable(net: torch.nn.Module, x: torch.Tensor = X) -> None:
    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(net(x)[:, 0].sum(), x)
    assert bool((g != 0).flatten(1).any(1).all())


# -- transformers ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vit(models: Path) -> tuple[Any, Any]:
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    torch.manual_seed(0)
    words = dict(enumerate(WORDS))
    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, image_size=16, patch_size=8,
        id2label=words, label2id={v: k for k, v in words.items()}, initializer_range=0.5,
    )  # fmt: skip
    model = ViTForImageClassification(config).eval()
    processor = ViTImageProcessor(size={"height": 16, "width": 16}, image_mean=[0.4, 0.5, 0.6], image_std=[0.2, 0.3, 0.25])
    model.save_pretrained("vit"), processor.save_pretrained("vit")
    return model, processor


def test_a_transformer_from_disk(vit: tuple[Any, Any]) -> None:
    (made,) = specs.models("hf:vit", data(), 3)
    model, processor = vit
    with torch.no_grad():
        want = model(**processor(list(BYTES), return_tensors="pt")).logits
        same(made.net(X), want)
    assert (made.name, made.net.words, made.net.shape, made.net.classes) == ("vit", WORDS, (3, 16, 16), 3)
    same(specs.oracle(made, "scores", 3)(X).values, want.softmax(1))
    differentiable(made.net)
    assert file_print("hf:vit") == file_print("hf:vit#resize=true") != ""
    x_adv = sg.craft(made.net, X, want.argmax(1), "i-fgsm", threat=bb.Linf(0.05), steps=2, seed=0)
    assert float((x_adv - X).abs().max()) == pytest.approx(0.05, abs=1e-6)


def test_a_transformer_as_it_is(vit: tuple[Any, Any]) -> None:
    """Without our loader: an output object with logits serves as target, surrogate and prior."""
    with torch.no_grad():
        want = vit[0](X).logits
    same(bb.Oracle(vit[0], "logits", 3)(X).values, want)
    same(logits(vit[0], X), want)
    result = bb.attack(bb.Oracle(vit[0], "scores", 3), X, want.argmax(1), "hybrid", bb.Linf(0.1), 10, prior=sg.prior([vit[0]]))
    assert int(result.queries.max()) <= 10


def test_images_of_another_size_are_resized_only_when_asked(vit: tuple[Any, Any]) -> None:
    small = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"images of 3×16×16, which is what vit takes, but they were 1×8×8.*#resize=true"):
        specs.models("hf:vit", data(small), 3)
    with pytest.raises(ValueError, match=r"they were 3×8×8.*--size 16"):
        specs.models("hf:vit", data(torch.rand(2, 3, 8, 8)), 3)
    (made,) = specs.models("hf:vit#resize=true", data(small), 3)
    differentiable(made.net, small)
    plain = torch.nn.functional.interpolate(small, (16, 16), mode="bilinear", antialias=True).expand(-1, 3, -1, -1)
    same(made.net(small).detach(), sg.from_spec("hf:vit")(plain).detach())


def test_labels_that_count_other_classes_are_refused(vit: tuple[Any, Any]) -> None:
    for words in (("dog", "owl"), ("owl", "dog", "cat")):
        with pytest.raises(ValueError, match=r"order of hf:vit, 3 from 'cat' to 'owl'.*--class-names hf:vit"):
            specs.models("hf:vit", data(words=words), len(words))
    with pytest.raises(ValueError, match=r"Expected 3 classes, as hf:vit has, but there were 2"):
        specs.models("hf:vit", data(words=("a", "b")), 2)
    np.savez("two.npz", images=X.numpy(), labels=[0, 2, 2, 0])
    assert specs.images(specs.Images("npz:two.npz", class_names="hf:vit")).data.classes == WORDS


def test_what_is_no_trained_classifier_is_refused(vit: tuple[Any, Any]) -> None:
    for spec, kind, match in (
        ("hf:none", FileNotFoundError, "there is none"),
        ("hf:nobody/nothing", FileNotFoundError, "nothing is downloaded"),
        ("hf:.", ValueError, "that save_pretrained wrote"),
        ("hf:base", ValueError, "lacks classifier.*would be random"),
        ("hf:bare", ValueError, "preprocessor_config"),
        ("hf:vit#size=3", ValueError, "setting of hf:vit .*resize"),
    ):
        if spec == "hf:base":
            vit[0].vit.save_pretrained("base")
        if spec == "hf:bare":
            vit[0].save_pretrained("bare")
        with pytest.raises(kind, match=match) as caught:
            specs.models(spec, data(), 3)
        assert str(caught.value).startswith("Expected")
    with pytest.raises(ValueError, match="normalises by itself|has its own"):
        specs.models("hf:vit", data(), 3, specs.Nets(mean="0.5", std="0.5"))
    (made,) = specs.models("hf:bare", data(), 3, specs.Nets(mean="0.5", std="0.5"))
    with torch.no_grad():
        same(made.net(X), vit[0]((X - 0.5) / 0.5).logits)


def test_zero_shot(models: Path) -> None:
    from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

    letters = [chr(c) for c in range(33, 127)]
    tokens = ["<|startoftext|>", "<|endoftext|>", *letters, *(f"{c}</w>" for c in letters)]
    Path("vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}))
    Path("merges.txt").write_text("#version: 0.2\n")
    tokenizer = CLIPTokenizer("vocab.json", "merges.txt")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 8}
    ends = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    torch.manual_seed(0)
    model = CLIPModel(CLIPConfig(
        text_config={**small, **ends, "vocab_size": len(tokens), "max_position_embeddings": 40},
        vision_config={**small, "image_size": 16, "patch_size": 8}, projection_dim=8,
    )).eval()  # fmt: skip
    images = CLIPImageProcessor(size={"shortest_edge": 16}, crop_size={"height": 16, "width": 16})
    processor = CLIPProcessor(images, tokenizer)
    model.save_pretrained("clip"), processor.save_pretrained("clip")
    prompts = [f"a photo of a {word}" for word in WORDS]
    with torch.no_grad():
        want = model(**processor(text=prompts, images=list(BYTES), return_tensors="pt", padding=True)).logits_per_image
    (made,) = specs.models("clip:clip", data(), 3)
    same(made.net(X).detach(), want)
    differentiable(made.net)
    Path("prompts.txt").write_text("\n".join(prompts[:2]))
    (two,) = specs.models("clip:clip#prompts=prompts.txt", data(words=("a", "b")), 2)
    same(two.net(X).detach(), want[:, :2])
    with pytest.raises(ValueError, match="a text for each class"):
        sg.from_spec("clip:clip")


# -- timm, torchvision, RobustBench -------------------------------------------------------------------------------


def test_timm(models: Path) -> None:
    import timm
    from safetensors.torch import save_file
    torch.manual_seed(0)
    vit = timm.create_model("vit_tiny_patch16_224", num_classes=3, img_size=16, embed_dim=24, depth=1, num_heads=2).eval()
    # as timm's push_to_hf_hub writes it
    Path("saved").mkdir()
    args = {"embed_dim": 24, "depth": 1, "num_heads": 2, "img_size": 16}
    known = {"architecture": "vit_tiny_patch16_224", "num_classes": 3, "label_names": WORDS, "model_args": args}
    Path("saved/config.json").write_text(json.dumps({**known, "pretrained_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}))
    save_file(vit.state_dict(), "saved/model.safetensors")
    from timm.data import create_transform
    from torchvision.transforms.functional import to_pil_image

    (made,) = specs.models("timm:saved#size=16", data(), 3)
    how = create_transform(input_size=(3, 16, 16), mean=(0.5,) * 3, std=(0.5,) * 3, crop_pct=1.0)
    with torch.no_grad():
        same(made.net(X), vit(torch.stack([how(to_pil_image(image)) for image in BYTES])))
    assert made.net.words == WORDS and made.name == "vit_tiny_patch16_224"
    differentiable(made.net)

    net = timm.create_model("test_resnet", num_classes=3) if timm.is_model("test_resnet") else timm.create_model("resnet10t", num_classes=3)
    name = net.pretrained_cfg["architecture"]
    save_file(net.eval().state_dict(), "net.safetensors")
    mean, std = (torch.tensor(net.pretrained_cfg[k]).view(3, 1, 1) for k in ("mean", "std"))
    (made,) = specs.models(f"timm:{name}:net.safetensors#size=16", data(), 3)
    with torch.no_grad():
        same(made.net(X), net((X - mean) / std))
    with pytest.raises(ValueError, match=rf"weights for {name}"):
        specs.models(f"timm:{name}", data(), 3)
    with pytest.raises(ValueError, match=rf"Did you mean '{name}'"):
        specs.models(f"timm:{name[:-1]}:net.safetensors", data(), 3)
    with pytest.raises(ValueError, match=rf"which is what {name} takes, but they were 3×16×16.*--size"):
        specs.models(f"timm:{name}:net.safetensors", data(), 3)


def test_torchvision_with_published_weights(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from torchvision.models import ShuffleNet_V2_X0_5_Weights, shufflenet_v2_x0_5

    monkeypatch.setenv("TORCH_HOME", str(models))
    known = ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1
    big = torch.rand(1, 3, 224, 224)
    with pytest.raises(FileNotFoundError, match="nothing is downloaded"):
        specs.models("torchvision:shufflenet_v2_x0_5:IMAGENET1K_V1", data(big), None)
    net = shufflenet_v2_x0_5().eval()
    file = models / "hub" / "checkpoints" / Path(known.url).name
    file.parent.mkdir(parents=True)
    torch.save(net.state_dict(), file)
    (made,) = specs.models("torchvision:shufflenet_v2_x0_5:IMAGENET1K_V1", data(big), None)
    with torch.no_grad():
        same(made.net(big), net(known.transforms()((big * 255).round() / 255) if big.shape[2] == 256 else (big - MEAN) / STD))
    assert made.net.words == tuple(known.meta["categories"]) and made.name == "shufflenet_v2_x0_5"
    with pytest.raises(ValueError, match=r"one of IMAGENET1K_V1.*Did you mean 'IMAGENET1K_V1'"):
        specs.models("torchvision:shufflenet_v2_x0_5:IMAGENET1K_V2", data(big), None)


MEAN, STD = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


def test_robustbench(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="Expected a model of RobustBench for cifar10 and Linf, but it was 'None2026'"):
        sg.from_spec("robustbench:None2026")
    import sys

    zoos = sys.modules["robustbench.model_zoo"].model_dicts
    from_words = {(data_set.value, threat.value): zoo for data_set, each in zoos.items() for threat, zoo in each.items()}

    def build() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3072, 10))

    monkeypatch.setitem(from_words["cifar10", "Linf"], "Tiny2026", {"model": build, "gdrive_id": "none"})
    x = torch.rand(2, 3, 32, 32)
    ten = data(x, tuple("abcdefghij"))
    with pytest.raises(FileNotFoundError, match=r"models/cifar10/Linf/Tiny2026\.pt.*nothing is downloaded"):
        specs.models("robustbench:Tiny2026", ten, 10)
    net = build()
    Path("models/cifar10/Linf").mkdir(parents=True)
    torch.save(net.state_dict(), "models/cifar10/Linf/Tiny2026.pt")
    (made,) = specs.models("robustbench:Tiny2026", ten, 10)
    same(made.net(x).detach(), net(x).detach())
    differentiable(made.net, x)
    assert file_print("robustbench:Tiny2026") != ""
    with pytest.raises(ValueError, match="Did you mean 'Tiny2026'"):
        specs.models("robustbench:Tiny202", ten, 10)


# -- what has no gradient -----------------------------------------------------------------------------------------


def test_keras(models: Path) -> None:
    from blackbox.targets.keras import choose_backend

    choose_backend()
    import keras

    def net(*head: Any) -> Any:
        return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(2, 3), keras.layers.Flatten(), *head])

    grey = data(GREY)
    for name, head, returns in (
        ("soft", [keras.layers.Dense(3, "softmax")], "probabilities"),
        ("apart", [keras.layers.Dense(3), keras.layers.Softmax()], "probabilities"),
        ("plain", [keras.layers.Dense(3)], "logits"),
    ):
        made = net(*head)
        made.save(f"{name}.keras")
        want = keras.ops.convert_to_numpy(made(GREY.permute(0, 2, 3, 1).numpy()))
        (model,) = specs.models(f"{name}.keras", grey, 3)
        same(model.model.predict(GREY), want)
        assert (model.model.returns, model.model.classes, model.model.shape, model.net) == (returns, 3, (1, 8, 8), None)
        same(as_target(made).predict(GREY), want)
    one = net(keras.layers.Dense(1, "sigmoid"))
    p = keras.ops.convert_to_numpy(one(GREY.permute(0, 2, 3, 1).numpy()))
    same(KerasTarget(one).predict(GREY), np.concatenate([1 - p, p], 1))
    for head, match in (([keras.layers.Dense(3, "sigmoid")], "several"), ([keras.layers.Dense(1)], "single unit")):
        with pytest.raises(ValueError, match=match):
            KerasTarget(net(*head))
    with pytest.raises(ValueError, match=r"images of 1×8×8, which is what soft"):
        specs.models("soft.keras", data(), 3)


def test_jax() -> None:
    import jax

    weights, seen = RNG.normal(size=(64, 3)).astype(np.float32), []

    def scores(x: Any) -> Any:
        seen.append(x.shape)  # when it is compiled
        return x.reshape(len(x), -1) @ weights

    target = JaxTarget(scores, batch=4)
    oracle = bb.Oracle(target, "logits", 3)
    same(oracle(GREY).values, ROWS @ weights)
    same(oracle(GREY[:1]).values, ROWS[:1] @ weights)
    assert seen == [(4, 1, 8, 8)] and oracle.rows == 7
    same(as_target(jax.jit(lambda x: {"logits": x.reshape(len(x), -1) @ weights})).predict(GREY), ROWS @ weights)
    last = JaxTarget(lambda x: x[:, :, :, 0].mean(2) @ weights[:8], layout="last")
    same(last.predict(GREY), GREY[:, 0].mean(2).numpy() @ weights[:8])


def early_stopping(x: np.ndarray, y: np.ndarray) -> None:
    """Boosters and their files stop at the best iteration, as their classes do."""
    import lightgbm
    import xgboost

    fitted = xgboost.XGBClassifier(n_estimators=12, verbosity=0, n_jobs=1, early_stopping_rounds=3).fit(
        x, y, eval_set=[(x[::-1], y)], verbose=False
    )
    booster = fitted.get_booster()
    assert fitted.best_iteration + 1 < booster.num_boosted_rounds()
    light = lightgbm.LGBMClassifier(n_estimators=12, verbose=-1, n_jobs=1)
    light.fit(x, y, eval_set=[(x[::-1], y)], callbacks=[lightgbm.early_stopping(3, verbose=False)])
    assert light.best_iteration_ < 12
    for model, trees, file in ((fitted, booster, "early.ubj"), (fitted, booster, "early.json"), (light, light.booster_, "early.txt")):
        trees.save_model(file)
        want = model.predict_proba(ROWS)
        same(as_target(model).predict(GREY), want)
        for target in (as_target(trees), BoosterTarget(file)):
            same(target.predict(GREY), want.astype(np.float32))


def test_boosted_trees(models: Path) -> None:
    import lightgbm
    import xgboost

    x, y = RNG.random((60, 64), dtype=np.float32), np.arange(60) % 3
    grey = data(GREY)
    for kind, files in ((xgboost.XGBClassifier, ("trees.ubj", "trees.json")), (lightgbm.LGBMClassifier, ("trees.txt",))):
        how = {"verbosity": 0, "n_jobs": 1}
        fitted, two = kind(n_estimators=3, **how).fit(x, y), kind(n_estimators=3, **how).fit(x, y > 1)
        want = fitted.predict_proba(ROWS)
        booster = fitted.get_booster() if kind is xgboost.XGBClassifier else fitted.booster_
        same(as_target(fitted).predict(GREY), want)
        same(as_target(booster).predict(GREY), want.astype(np.float32))
        same(BoosterTarget(two.get_booster() if hasattr(two, "get_booster") else two.booster_).predict(GREY),
             two.predict_proba(ROWS).astype(np.float32))  # fmt: skip
        for file in files:
            booster.save_model(file)
            (model,) = specs.models(file, grey, 3)
            same(specs.oracle(model, "scores", 3)(GREY).values, want.astype(np.float32))
            assert model.model.classes == 3 and file_print(file)
    assert [r.shape for r in (x, y)] == [(60, 64), (60,)]
    early_stopping(x, y)
    Path("bad.txt").write_text("no trees")
    with pytest.raises(ValueError, match="that LightGBM saved"):
        BoosterTarget("bad.txt")
    with pytest.raises(ValueError, match="its objective is reg"):
        BoosterTarget(xgboost.XGBRegressor(n_estimators=1).fit(x, y).get_booster())


@pytest.mark.parametrize("kind", ["float", "int8"])
def test_tflite(kind: str, models: Path) -> None:
    """A file of one layer, x W + b, written by hand after the published schema."""
    from tests.e2e.tiny_tflite import linear

    weights, bias = RNG.normal(size=(3, 64)).astype(np.float32), np.array([0.1, -0.2, 0.3], np.float32)
    Path(f"{kind}.tflite").write_bytes(linear(weights, bias, (1, 8, 8, 1), quantised=kind == "int8"))
    (model,) = specs.models(f"{kind}.tflite", data(GREY), 3)
    got, want = model.model.predict(GREY), ROWS @ weights.T + bias
    if kind == "float":
        same(got, want)
        assert model.model.probe == 0
        half = TfliteTarget("float.tflite", mean=0.5, std=0.5)
        same(half.predict(GREY), (ROWS - 0.5) / 0.5 @ weights.T + bias)
    else:
        assert float((got - torch.from_numpy(want)).abs().max()) < 0.6 and model.model.probe == pytest.approx(1 / 255)
    oracle = specs.oracle(model, "logits", 3)
    assert oracle(GREY).values.shape == (6, 3) and oracle.rows == 6
    Path("bad.tflite").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="LiteRT can run"):
        specs.models("bad.tflite", data(GREY), 3)


# -- what every one of them does ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "package", "extra"),
    [("hf:vit", "transformers", "hf"), ("timm:a:b.pt", "timm", "models"), ("robustbench:A", "robustbench", "robustbench"),
     ("a.keras", "keras", "keras"), ("a.tflite", "ai_edge_litert.interpreter", "tflite"), ("a.txt", "lightgbm", "boost")],
)  # fmt: skip
def test_a_package_that_is_missing_is_named(
    spec: str, package: str, extra: str, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import importlib

    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name.partition(".")[0])
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    for name in ("a.keras", "a.tflite", "a.txt"):
        Path(name).write_bytes(b"x")
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'blackbox-transfer\[{extra}\]'"):
        specs.models(spec, data(), 3)
    shutil.rmtree("a.keras", ignore_errors=True)
