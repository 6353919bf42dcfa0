"""Builds an Oracle from a model and the channels around it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from blackbox.specs import channels
from blackbox.specs.model import Model

if TYPE_CHECKING:
    from blackbox.oracle import Oracle


def retrying(model: Model, retries: int, device: str | None = None) -> Model:
    """Wrap the model so that a call that failed on the way is repeated up to ``retries`` times.

    Raises:
        ValueError: a negative number.
    """
    if retries < 0:
        raise ValueError(f"Expected --retries to be at least 0, but it was {retries}.")
    if not retries:
        return model
    from blackbox.targets import Retrying

    return replace(model, model=Retrying(_named_as(model, device), tries=retries + 1), returns=None, batch=None)


def oracle(
    model: Model,
    access: str,
    classes: int,
    device: str | None = None,
    rows_per_call: int | None = None,
    stack: Sequence[channels.Chosen] = (),
    seed: int = 0,
    kind: type[Oracle] | None = None,
) -> Oracle:
    """Wrap a model in the channels of ``stack`` and a new Oracle, named by its spec.

    ``access``: a level, ``topk:3`` for the three largest. ``seed``: of the channels' draws.
    ``kind``: another class with the interface of Oracle.
    """
    import blackbox as bb

    level, k = channels.level_of(access)
    listed = min(5, classes) if k is None else k
    if level == "answers":  # of any form: the words of the data's classes are not the target's
        model = replace(model, words=None)
    made = channels.wrap(_named_as(model, device), stack, seed)
    try:
        return (kind or bb.Oracle)(made, access=level, classes=classes, k=listed, rows_per_call=rows_per_call)
    except ValueError as error:
        said, _, hint = str(error).partition("(On the command line")
        if "--class-names" not in hint or model.words is None or all(map(str.isdecimal, model.words)):
            raise
        raise ValueError(
            f"{said}Give the words of all its classes in the target's order: --class-names FILE, one a line; folders are matched by "
            "their names."
        ) from None


def _named_as(model: Model, device: str | None) -> Any:
    """The model as an Oracle takes it, named by its spec, with what its user says of it."""
    import torch

    from blackbox.targets import Target
    from blackbox.targets.adapted import Adapted
    from blackbox.targets.function import FunctionTarget
    from blackbox.targets.module import ModuleTarget

    made = model.model
    if isinstance(made, torch.nn.Module):
        return ModuleTarget(made, device, name=model.name, returns=model.returns, batch=model.batch)
    if not isinstance(made, Target) and callable(made):
        said: dict[str, Any] = {"returns": model.returns, "batch": model.batch, "class_names": model.words}
        return FunctionTarget(made, device, name=model.name, **said)
    own = getattr(made, "words", None)
    same = model.words is None or not own or list(own) == list(model.words) or sorted(own) != sorted(model.words)
    if model.returns is None and model.batch is None and same:
        return made
    return Adapted(made, returns=model.returns, batch=model.batch, class_names=model.words)
