"""Weight files: safetensors, or torch files that hold tensors only. Other pickles are refused: loading one can run code."""

from __future__ import annotations

import json
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from surrogates.nets.architectures import Normalised

Net = TypeVar("Net", bound=nn.Module)
_KEY = "surrogate"  # the key of our header in the metadata of a safetensors file


@dataclass(frozen=True)
class Header:
    """The metadata that `save_weights` stores with the tensors, so that the net can be rebuilt."""

    arch: str
    classes: int
    shape: tuple[int, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]


def _inner(net: nn.Module) -> nn.Module:
    return net.net if isinstance(net, Normalised) else net


def save_weights(net: nn.Module, path: str | Path) -> Path:
    """Write the parameters and buffers of ``net`` to a safetensors file, under the net's own names.

    For a net made by `surrogates.build` it also writes a header, so that ``from_spec("path.safetensors")`` can rebuild it.
    """
    from safetensors.torch import save_file

    path = Path(path)
    if path.suffix != ".safetensors":
        raise ValueError(f"Expected a path that ends in .safetensors, but it was {path}.")
    header: dict[str, str] = {}
    if isinstance(net, Normalised) and net.arch:
        known = Header(
            net.arch, net.classes, net.shape, tuple(net.mean.flatten().tolist()), tuple(net.std.flatten().tolist())
        )
        header[_KEY] = json.dumps(asdict(known))
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().cpu().contiguous() for k, v in _inner(net).state_dict().items()}, path, metadata=header)
    return path


def read_header(path: Path) -> Header | None:
    """The header of a file that `save_weights` wrote; None for other files.

    Raises:
        FileNotFoundError: no such file. ValueError: not a safetensors file.
    """
    _exists(path)
    if path.suffix != ".safetensors":
        return None
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            text = (file.metadata() or {}).get(_KEY)
    except SafetensorError as error:
        raise ValueError(f"Expected {path} to be a safetensors file, but it could not be read: {error}.") from None
    if text is None:
        return None
    try:
        raw = json.loads(text)
        return Header(str(raw["arch"]), int(raw["classes"]), tuple(raw["shape"]), tuple(raw["mean"]), tuple(raw["std"]))
    except (ValueError, KeyError, TypeError):
        return None  # other software's metadata


def load_weights(net: Net, path: str | Path) -> Net:
    """Load a file of weights into ``net`` and return it, in eval mode.

    Args:
        net: made by `surrogates.build`, or any module; the file holds the net's own names (``conv1.weight``), with or
            without something before all of them, such as DataParallel's ``module.`` or Lightning's ``model.``; torch.compile's
            ``_orig_mod.`` is left out wherever it stands.
        path: ``.safetensors``, or ``.pt`` / ``.pth`` that holds tensors only (a state dict, or a dict with one under
            ``state_dict`` or ``model``).

    Raises:
        FileNotFoundError: no such file.
        ValueError: the file would have to be unpickled, cannot be read, or its names or shapes are not the net's.
    """
    path = Path(path)
    _exists(path)
    inner = _inner(net)
    want = inner.state_dict()
    came = _without_prefix(read_weights(path), want)
    # a batch counter that some releases leave out; no output depends on it
    for name in want.keys() - came.keys():
        if name.endswith("num_batches_tracked"):
            came[name] = want[name]
    missing, extra = [k for k in want if k not in came], [k for k in came if k not in want]
    wrong = [k for k in want if k in came and came[k].shape != want[k].shape]
    what = getattr(net, "arch", "") or type(inner).__name__
    if missing or extra:
        parts = [f"lacks {_few(missing)}"] if missing else []
        parts += [f"has {_few(extra)}, which the net does not know"] if extra else []
        raise ValueError(
            f"Expected {path} to hold the weights of {what}, but it {' and '.join(parts)}. Is it another net's?"
        )
    if wrong:
        k = wrong[0]
        raise ValueError(
            f"Expected {k} to have shape {tuple(want[k].shape)} for {what}, but in {path} it has {tuple(came[k].shape)}"
            f"{f' ({len(wrong)} such)' if len(wrong) > 1 else ''}. Build the net with the classes and shape of the weights."
        )
    broken = [k for k, v in came.items() if v.is_floating_point() and not bool(v.isfinite().all())]
    if broken:
        raise ValueError(f"Expected finite weights, but {_few(broken)} in {path} hold NaN or infinity.")
    inner.load_state_dict(came)
    net.eval()
    return net


def _exists(path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"Expected a file of weights at {path}, but there is none.")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a file of weights, by name; `load_weights` says what is read."""
    _exists(path)
    raw: Any
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            raw = load_file(path)
        except SafetensorError as error:
            raise ValueError(f"Expected {path} to be a safetensors file, but it could not be read: {error}.") from None
    elif path.suffix in (".pt", ".pth", ".th", ".bin"):
        try:
            raw = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
            raise ValueError(
                f"Expected {path} to hold tensors only, but reading it would mean unpickling it, which can run any code, "
                f"or it is damaged ({str(error).splitlines()[0][:120]}). "
                "Save the state dict as safetensors with safetensors.torch.save_file."
            ) from None
        for key in ("state_dict", "model_state_dict", "model", "net"):
            if isinstance(raw, dict) and isinstance(raw.get(key), dict):
                raw = raw[key]
    else:
        raise ValueError(
            f"Expected weights as .safetensors, .pt or .pth, but the file was {path.name}. Pickles are refused, "
            "because reading one can run any code; save the state dict as safetensors."
        )
    if not isinstance(raw, dict) or not raw or not all(isinstance(v, Tensor) for v in raw.values()):
        raise ValueError(f"Expected {path} to hold a state dict (names -> tensors), but it holds {type(raw).__name__}.")
    return {str(k).removeprefix("module.").replace("_orig_mod.", ""): v for k, v in raw.items()}


def _without_prefix(came: dict[str, Tensor], want: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without what stands before every name, where the names are the net's then; else as they came."""
    first = next(iter(want), "")
    for prefix in [name.removesuffix(first) for name in came if name.endswith("." + first)]:
        if all(name.startswith(prefix) for name in came):
            return {name.removeprefix(prefix): value for name, value in came.items()}
    return came
