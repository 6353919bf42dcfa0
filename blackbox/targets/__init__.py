"""Adapters for everything that an Oracle can wrap. Each answers a batch of images and knows nothing of counting.

Channels and defences are targets around a target, so they stack: ``EightBit(Noisy(net, 0.01))`` rounds the image to
8 bits, queries the net, and adds noise to its scores.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blackbox.lazy import lazy
from blackbox.targets.answer import Answer
from blackbox.targets.info import TargetInfo
from blackbox.targets.reading import recognise as recognise
from blackbox.targets.target import Target, as_target

_WHERE = {
    "FunctionTarget": "blackbox.targets.function",
    "ModuleTarget": "blackbox.targets.module",
    "OnnxTarget": "blackbox.targets.onnx",
    "ScriptTarget": "blackbox.targets.programs",
    "ExportedTarget": "blackbox.targets.programs",
    "HttpTarget": "blackbox.targets.http",
    "Rest": "blackbox.targets.rest",
    "SklearnTarget": "blackbox.targets.sklearn",
    "KerasTarget": "blackbox.targets.keras",
    "JaxTarget": "blackbox.targets.jax",
    "BoosterTarget": "blackbox.targets.boosted",
    "TfliteTarget": "blackbox.targets.tflite",
    "Channel": "blackbox.channels.channel",
    "LabelsOnly": "blackbox.channels.labels_only",
    "TopK": "blackbox.channels.scores",
    "Rounded": "blackbox.channels.scores",
    "Noisy": "blackbox.channels.scores",
    "EightBit": "blackbox.channels.eight_bit",
    "ReverseSigmoid": "blackbox.defences.reverse_sigmoid",
    "JPEG": "blackbox.defences.inputs",
    "InputNoise": "blackbox.defences.inputs",
    "RandomResize": "blackbox.defences.inputs",
    "Blacklight": "blackbox.defences.blacklight",
    "PIHA": "blackbox.defences.piha",
    "QPA": "blackbox.defences.provenance",
    "RandomFeatures": "blackbox.defences.features",
    "AAA": "blackbox.defences.aaa",
    "Retrying": "blackbox.channels.retrying",
    "Detection": "blackbox.statistics",
}

__all__ = ["Answer", "Target", "TargetInfo", "as_target", *_WHERE]

if TYPE_CHECKING:
    from blackbox.channels.channel import Channel
    from blackbox.channels.eight_bit import EightBit
    from blackbox.channels.labels_only import LabelsOnly
    from blackbox.channels.retrying import Retrying
    from blackbox.channels.scores import Noisy, Rounded, TopK
    from blackbox.defences.aaa import AAA
    from blackbox.defences.blacklight import Blacklight
    from blackbox.defences.features import RandomFeatures
    from blackbox.defences.inputs import JPEG, InputNoise, RandomResize
    from blackbox.defences.piha import PIHA
    from blackbox.defences.provenance import QPA
    from blackbox.defences.reverse_sigmoid import ReverseSigmoid
    from blackbox.statistics import Detection
    from blackbox.targets.boosted import BoosterTarget
    from blackbox.targets.function import FunctionTarget
    from blackbox.targets.http import HttpTarget
    from blackbox.targets.jax import JaxTarget
    from blackbox.targets.keras import KerasTarget
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.onnx import OnnxTarget
    from blackbox.targets.programs import ExportedTarget, ScriptTarget
    from blackbox.targets.rest import Rest
    from blackbox.targets.sklearn import SklearnTarget
    from blackbox.targets.tflite import TfliteTarget

__getattr__, __dir__ = lazy(__name__, _WHERE)
