"""Nets: architectures to build by name, their weights, and their predictions."""

from surrogates.nets.architectures import CNN, MLP, VGG, LeNet, Normalised, ResNet
from surrogates.nets.fold import folded
from surrogates.nets.patches import Mixer, ViT
from surrogates.nets.predict import accuracy, fidelity, logits, predict
from surrogates.nets.registry import build, from_spec, names
from surrogates.nets.thin import DenseNet, MobileNet
from surrogates.nets.weights import load_weights, save_weights

__all__ = [
    "CNN", "DenseNet", "LeNet", "MLP", "Mixer", "MobileNet", "Normalised", "ResNet", "VGG", "ViT", "accuracy", "build",
    "fidelity", "folded", "from_spec", "load_weights", "logits", "names", "predict", "save_weights",
]  # fmt: skip
