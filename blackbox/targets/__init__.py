"""What can stand behind an Oracle. Each adapter answers a batch of images and knows nothing of counting.

Channels and defences are targets around a target, so they stack: ``EightBit(Noisy(net, 0.01))`` rounds the image to
8 bits, asks the net, and adds noise to its scores.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

_WHERE = {
    "FunctionTarget": "blackbox.targets.function",
    "ModuleTarget": "blackbox.targets.module",
    "OnnxTarget": "blackbox.targets.onnx",
    "ScriptTarget": "blackbox.targets.programs",
    "ExportedTarget": "blackbox.targets.programs",
    "HttpTarget": "blackbox.targets.http",
    "SklearnTarget": "blackbox.targets.sklearn",
    "Channel": "blackbox.channels.channels",
    "LabelsOnly": "blackbox.channels.channels",
    "TopK": "blackbox.channels.channels",
    "Rounded": "blackbox.channels.channels",
    "Noisy": "blackbox.channels.channels",
    "EightBit": "blackbox.channels.channels",
    "ReverseSigmoid": "blackbox.defences.inputs",
    "JPEG": "blackbox.defences.inputs",
    "InputNoise": "blackbox.defences.inputs",
    "RandomResize": "blackbox.defences.inputs",
    "Blacklight": "blackbox.defences.blacklight",
    "Retrying": "blackbox.channels.retrying",
    "Detection": "blackbox.defences.blacklight",
}

__all__ = ["Answer", "Target", "as_target", *_WHERE]

if TYPE_CHECKING:
    from blackbox.channels.channels import Channel, EightBit, LabelsOnly, Noisy, Rounded, TopK
    from blackbox.channels.retrying import Retrying
    from blackbox.defences.blacklight import Blacklight, Detection
    from blackbox.defences.inputs import JPEG, InputNoise, RandomResize, ReverseSigmoid
    from blackbox.targets.function import FunctionTarget
    from blackbox.targets.http import HttpTarget
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.onnx import OnnxTarget
    from blackbox.targets.programs import ExportedTarget, ScriptTarget
    from blackbox.targets.sklearn import SklearnTarget


class Answer(NamedTuple):
    """An answer whose label is said apart from its scores, where rounding or deceit has made them disagree.

    label: [m] int64. scores: [m, C].
    """

    label: Tensor
    scores: Tensor


@runtime_checkable
class Target(Protocol):
    """A thing that classifies images.

    name: for reports. device: where `predict` wants its rows. returns: "logits", "probabilities", "labels", or None
    when the oracle shall tell from the first answer.

    A target may also say what stands between it and a client, and an `Oracle` listens: ``probe`` (the smallest change
    of an input entry that it sees), ``resolution`` (the step its scores are rounded to), ``noise`` (standard deviation
    of a score), ``randomised`` (the same image may get another answer), ``flags`` ([m] bool, the rows so far that a
    detector took for an attack). It may announce ``classes``, ``shows`` (the `Access` level) with ``k`` (classes listed
    by a top-k answer) and ``max_rows`` (of one call), which an `Oracle` holds its user to.

    A target that charges, and can be asked again for an answer that it gave already, says ``keyed = True``: then it is
    called ``predict(x, keys=[...])`` behind a journal, with a word for each row that names this very query, the same in
    every attempt; a word that it has answered before it answers again, and charges nothing.
    """

    name: str
    device: torch.device
    returns: str | None

    def predict(self, x: Tensor) -> Any:
        """Float rows [m, \\*shape] in [0, 1], to be read and not written into -> [m, C] scores, [m] labels, or an `Answer`
        with both."""


def recognise(out: Tensor) -> str:
    """What an answer looks like: whole numbers [m] are labels; rows in [0, 1] that sum to 1, or would but for the decimals
    they were rounded to, are probabilities."""
    if out.ndim == 1 and (not out.is_floating_point() or bool((out == out.round()).all())):
        return "labels"
    if out.ndim == 2 and len(out):
        p = out.to(torch.float64)
        off = float((p.sum(1) - 1).abs().max())
        if float(p.min()) >= 0 and float(p.max()) <= 1 + 1e-6 and (off < 1e-3 or off < min(_rounded_away(p), 0.5)):
            return "probabilities"
    return "logits"


def _rounded_away(p: Tensor) -> float:
    """How far rounding may have moved the sum of a row of ``p`` [m, C], if these are numbers of one to four decimals."""
    for decimals in range(1, 5):
        if bool((p * 10**decimals - (p * 10**decimals).round()).abs().max() < 1e-2):  # 1e4 times float32's rounding is 6e-4
            return 0.5 * 10.0**-decimals * p.shape[1] + 1e-9
    return 0.0


def as_target(model: Any, device: torch.device | str | None = None) -> Target:
    """Find the adapter for a model.

    Raises:
        TypeError: it is neither a Target, a torch module, a scikit-learn classifier nor a callable.
    """
    from blackbox.targets.function import FunctionTarget
    from blackbox.targets.module import ModuleTarget
    from blackbox.targets.sklearn import SklearnTarget

    if isinstance(model, torch.nn.Module):
        return ModuleTarget(model, device)
    if isinstance(model, Target) and not isinstance(model, type):
        return model
    if hasattr(model, "predict") and hasattr(model, "fit") and not callable(model):
        return SklearnTarget(model)
    if callable(model) and not isinstance(model, type):
        return FunctionTarget(model, device)
    raise TypeError(
        "Expected the model to be a torch module, a callable on [m, *shape] floats, a fitted scikit-learn classifier "
        f"or a blackbox target, but it was {model!r}."
    )


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(_WHERE[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
