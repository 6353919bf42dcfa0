"""Nets by name, their weights on disk, and what is refused."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import surrogates as sg
from surrogates.nets.registry import Normalised, names


@pytest.mark.parametrize("name", ["mlp", "lenet", "strided", "cnn", "vgg", "resnet20", "vit", "mixer", "mobilenet", "densenet"])
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 17, 12)])
def test_every_net_takes_every_size(name: str, shape: tuple[int, int, int]) -> None:
    net = sg.build(name, 7, shape)
    assert net(torch.rand(2, *shape)).shape == (2, 7) and not net.training


@pytest.mark.parametrize(("depth", "count"), [(20, 269_722), (32, 464_154), (44, 658_586), (56, 853_018)])
def test_cifar_resnets_have_the_papers_size_and_the_usual_names(depth: int, count: int) -> None:
    net = sg.build(f"resnet{depth}")
    assert sum(p.numel() for p in net.parameters()) == count
    keys = list(net.net.state_dict())
    assert keys[0] == "conv1.weight" and "layer1.0.conv1.weight" in keys and "layer3.2.bn2.running_var" in keys
    assert keys[-1] == "linear.bias" and not any("shortcut" in k or "mean" in k.split(".")[0] for k in keys)


def test_patches_cover_the_image_and_have_an_order() -> None:
    """What no patch sees cannot change the answer; without positions a transformer would not notice that two patches changed places."""
    for name, shape in (("vit", (3, 17, 12)), ("mixer", (1, 9, 8))):
        net = sg.build(name, 3, shape)
        x = torch.rand(1, *shape, requires_grad=True)
        assert bool((torch.autograd.grad(net(x)[0, 0], x)[0] != 0).all()), f"{name} leaves pixels out"
    vit, x = sg.build("vit", 3, (1, 16, 16)), torch.rand(1, 1, 16, 16)
    turned = torch.cat([x[..., 2:4], x[..., :2], x[..., 4:]], 3)
    assert not torch.allclose(vit(x), vit(turned), atol=1e-4)
    with torch.no_grad():
        vit.net.pos_embed.zero_()
    assert torch.allclose(vit(x), vit(turned), atol=1e-5)


def test_a_densenet_joins_and_a_mobilenet_adds_what_came_before() -> None:
    from surrogates.nets.thin import _Growing, _Inverted

    x = torch.rand(2, 6, 5, 5)
    joined = _Growing(6, 4).eval()(x)
    assert joined.shape == (2, 10, 5, 5) and torch.equal(joined[:, :6], x)
    for stride, outside, skips in ((1, 6, True), (2, 6, False), (1, 8, False)):
        block = _Inverted(6, outside, stride, 4).eval()
        torch.nn.init.zeros_(block.bn3.weight)  # nothing but the skip is left
        assert torch.equal(block(x), x) if skips else not bool(block(x).any())
        assert block.conv2.weight.shape == (24, 1, 3, 3)  # each channel by itself


@pytest.mark.parametrize("name", ["vit", "mixer", "mobilenet", "densenet"])
def test_the_other_families_tell_rows_from_columns(name: str) -> None:
    x, y = 0.5 * torch.rand(96, 1, 8, 8), torch.arange(96) % 2
    x[y == 1, :, :, ::2] += 0.5
    x[y == 0, :, ::2] += 0.5
    recipe = sg.Recipe(epochs=6, batch_size=16, least_updates=4, optimiser="adam", augment=())
    net = sg.train(sg.build(name, 2, (1, 8, 8)), (x[:64], y[:64]), recipe, seed=0)
    assert sg.accuracy(net, (x[64:], y[64:])).value > 0.9


def test_option_a_shortcut_is_slicing_and_zeros() -> None:
    from surrogates.nets.architectures import _Block

    block = _Block(2, 6, 2)
    torch.nn.init.zeros_(block.bn2.weight)  # nothing but the shortcut is left
    x = torch.rand(1, 2, 4, 4)
    out = block.eval()(x)
    assert torch.equal(out[:, 2:4], x[:, :, ::2, ::2]) and not bool(out[:, [0, 1, 4, 5]].any())


def test_weights_are_a_function_of_the_seed_alone() -> None:
    torch.manual_seed(3)
    before = torch.random.get_rng_state()
    a, b, c = sg.build("lenet", seed=1), sg.build("lenet", seed=1), sg.build("lenet", seed=2)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(a.net.conv1.weight, b.net.conv1.weight) and not torch.equal(
        a.net.conv1.weight, c.net.conv1.weight
    )  # type: ignore[union-attr]


def test_normalisation_is_inside() -> None:
    net = sg.build("resnet20")
    x = torch.rand(2, 3, 8, 8)
    mean, std = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1), torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    assert torch.allclose(net(x), net.net((x - mean) / std), atol=1e-5)
    assert torch.equal(sg.build("lenet").mean.flatten(), torch.zeros(1))
    plain = sg.build("resnet20", mean=0.0, std=1.0)
    assert torch.equal(plain(x), plain.net(x))


def test_torchvision_by_name() -> None:
    net = sg.from_spec("torchvision:squeezenet1_1", 5, (3, 64, 64))
    assert net(torch.rand(1, 3, 64, 64)).shape == (1, 5) and net.mean.numel() == 3
    assert "torchvision:resnet18" in names() and "resnet56" in names()


def test_weights_go_out_and_come_back(tmp_path: Path) -> None:
    net = sg.build("cnn", 6, (3, 9, 9), seed=4, mean=(0.1, 0.2, 0.3), std=0.5)
    x = torch.rand(3, 3, 9, 9)
    path = sg.save_weights(net, tmp_path / "deep" / "w.safetensors")
    for spec in (str(path), f"cnn:{path}"):
        again = sg.from_spec(spec)
        assert isinstance(again, Normalised) and again.shape == (3, 9, 9) and torch.equal(again(x), net(x))
    state = net.net.state_dict()
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in state.items() if "num_batches" not in k}}, tmp_path / "w.pt"
    )
    other = sg.load_weights(sg.build("cnn", 6, (3, 9, 9), seed=0, mean=(0.1, 0.2, 0.3), std=0.5), tmp_path / "w.pt")
    assert torch.equal(other(x), net(x))


@pytest.mark.parametrize("before", ["module.", "_orig_mod.", "model.", "net.", "module._orig_mod.", "_orig_mod.backbone."])
def test_what_wrappers_put_before_every_name_is_taken_off(tmp_path: Path, before: str) -> None:
    net = sg.build("cnn", 3, (1, 8, 8), seed=4)
    saved = {f"{before}{k}": v for k, v in net.net.state_dict().items()}
    torch.save(saved, tmp_path / "w.pt")
    x = torch.rand(2, 1, 8, 8)
    assert torch.equal(sg.from_spec(f"cnn:{tmp_path}/w.pt", 3, (1, 8, 8))(x), net(x))
    torch.save({**saved, "other.weight": torch.zeros(1)}, tmp_path / "two.pt")  # not before all names: another net's file
    with pytest.raises(ValueError, match="which the net does not know"):
        sg.from_spec(f"cnn:{tmp_path}/two.pt", 3, (1, 8, 8))


def test_a_compiled_part_is_named_as_the_part(tmp_path: Path) -> None:
    net = sg.build("cnn", 3, (1, 8, 8))
    state = {k.replace("features.", "features._orig_mod."): v for k, v in net.net.state_dict().items()}
    torch.save(state, tmp_path / "w.pt")
    assert sg.from_spec(f"cnn:{tmp_path}/w.pt", 3, (1, 8, 8)).arch == "cnn"


class Trap:
    """Runs code when unpickled."""

    def __reduce__(self) -> Any:
        return (os.system, ("touch " + str(Path("trap_was_sprung").absolute()),))


def test_pickles_are_refused_and_never_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.weight": Trap()}, "trap.pt")
    with pytest.raises(ValueError, match="can run any code"):
        sg.from_spec("lenet:trap.pt")
    Path("trap.pkl").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(ValueError, match="Pickles are refused"):
        sg.load_weights(sg.build("lenet"), "trap.pkl")
    assert not Path("trap_was_sprung").exists()


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    path = sg.save_weights(sg.build("lenet", 10), tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"linear2\.weight to have shape \(7, 200\) for lenet.*has \(10, 200\)"):
        sg.load_weights(sg.build("lenet", 7), path)
    with pytest.raises(ValueError, match=r"weights of mlp, but it lacks .* and has conv1"):
        sg.load_weights(sg.build("mlp"), path)
    broken = sg.build("lenet")
    with torch.no_grad():
        broken.net.conv1.bias[0] = float("nan")  # type: ignore[union-attr, index]
    with pytest.raises(ValueError, match=r"finite weights, but conv1\.bias"):
        sg.load_weights(sg.build("lenet"), sg.save_weights(broken, tmp_path / "nan.safetensors"))
    (tmp_path / "bad.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(ValueError, match="safetensors file, but it could not be read"):
        sg.from_spec(f"lenet:{tmp_path}/bad.safetensors")
    with pytest.raises(FileNotFoundError, match="there is none"):
        sg.from_spec("lenet:nowhere.safetensors")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("resent20",), "Did you mean 'resnet20'"),
        (("nothing like it",), "There are mlp"),
        (("torchvision:resnet19",), "Did you mean 'resnet1"),
        (("torchvision:resnet18", 10, (1, 8, 8)), "3 channels"),
        (("mlp", 1), "at least 2 classes"),
        (("mlp", 10, (8, 8)), "(channels, height, width)"),
        (("lenet", 10, (1, 3, 3)), "at least 4 pixels"),
    ],
)
def test_bad_names_and_shapes_get_a_sentence(args: tuple[Any, ...], words: str) -> None:
    with pytest.raises(ValueError) as error:
        sg.build(*args)
    assert words in str(error.value)


def test_bad_normalisation_is_refused() -> None:
    with pytest.raises(ValueError, match="std to be positive"):
        sg.build("mlp", std=0.0)
    with pytest.raises(ValueError, match="mean to have 1 or 3 entries"):
        sg.build("resnet20", mean=(0.1, 0.2))
    with pytest.raises(ValueError, match=r"images in \[0, 1\], but they were \(123.7,\) .* Divide both by 255\?"):
        sg.build("resnet20", mean=123.7, std=58.4)
    with pytest.raises(ValueError, match="Divide both by 255"):
        sg.build("mlp", std=58.4)
    assert sg.build("mlp", mean=0.485, std=1 / 255)  # a net of images in 0..255, centred


@pytest.mark.data
@pytest.mark.parametrize(
    ("spec", "data", "options", "least"),
    [
        ("resnet20:{}/weights/cifar10_resnet20.safetensors", "folder:{}/cifar10/test", {}, 0.80),
        ("resnet32:{}/weights/cifar10_resnet32.safetensors", "folder:{}/cifar10/test", {}, 0.82),
        ("lenet:{}/weights/mnist_lenet5_clntrained.safetensors", "npz:{}/mnist_test.npz", {}, 0.985),
        (
            "torchvision:squeezenet1_0:{}/weights/imagenet_squeezenet1_0.safetensors", "folder:{}/imagenet/val",
            {"size": 224, "resize": 256, "classes": "{}/imagenet/classes.txt"}, 0.6,
        ),
    ],
)  # fmt: skip
def test_public_weights_reach_their_accuracy(spec: str, data: str, options: dict[str, Any], least: float) -> None:
    root = Path(os.environ.get("BLACKBOX_DATA", Path(__file__).parents[4] / "shared" / "data"))
    if not root.is_dir():
        pytest.skip(f"needs real weights and images in {root}")
    known = {k: v.format(root) if isinstance(v, str) else v for k, v in options.items()}
    bare = {"mean": 0.0, "std": 1.0} if "squeezenet" in spec else {}
    dataset = sg.load(data.format(root), **known)
    assert sg.accuracy(sg.from_spec(spec.format(root), **bare), dataset).value > least
