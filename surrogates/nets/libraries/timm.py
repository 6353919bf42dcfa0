"""``timm:NAME:weights``: nets of PyTorch Image Models with their own data configuration (extra ``[models]``)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from blackbox.plain_text import did_you_mean
from blackbox.targets.packages import need
from surrogates.nets.libraries.net import LibraryNet
from surrogates.nets.weights import load_weights, read_weights


def timm(
    where: str, images: Sequence[int] | None = None, *, size: int | None = None, classes: int | None = None, resize: bool = False
) -> LibraryNet:
    """Load a net of timm with the size, mean and std that timm says it was trained with.

    Args:
        where: ``NAME:path`` with weights in a file (safetensors, or a torch file of tensors only), or a folder that timm saved
            (``config.json`` beside the weights), which also names the classes.
        images: the shape of the images it will be given. resize: resize them inside where it is another.
        size: the side of its images, where the weights were trained with another than timm says.
        classes: their number; by default that of the weights.

    Raises:
        ModuleNotFoundError: timm is not installed. FileNotFoundError: no such file.
        ValueError: an unknown name, no weights, or weights of another net.
    """
    library = need("timm", "models", f"timm:{where}")
    if Path(where).is_dir():
        name, path, known = _folder(Path(where))
    else:
        name, _, text = where.partition(":")
        path, known = Path(text), {}
        if not library.is_model(name):
            raise ValueError(
                f"Expected a net of timm {library.__version__}, NAME:weights, or a folder that it saved, but it was {name!r}."
                + did_you_mean(name, library.list_models())
            )
        if not text:
            raise ValueError(
                f"Expected weights for {name}, timm:{name}:weights.safetensors, but there were none: a net with random weights "
                "tells nothing. Save some with timm's own: safetensors.torch.save_file(timm.create_model(NAME, "
                "pretrained=True).state_dict(), PATH)."
            )
    tensors = read_weights(path)
    plain = library.models.get_pretrained_cfg(name).to_dict()
    cfg = {**plain, **known.get("pretrained_cfg", {})}
    head, stem = (_shape(tensors, cfg.get(key)) for key in ("classifier", "first_conv"))
    args: dict[str, Any] = {**known.get("model_args", {})}
    args["num_classes"] = classes or (head[0] if head else known.get("num_classes", cfg.get("num_classes", 1000)))
    if stem:
        args["in_chans"] = stem[1]
    made = _made(library, name, args, size)
    load_weights(made, path)
    data = library.data.resolve_data_config({} if size is None else {"input_size": (args.get("in_chans", 3), size, size)},
                                            pretrained_cfg=cfg, model=made)  # fmt: skip
    channels, h, w = data["input_size"]
    channels = args.get("in_chans", channels)
    mean, std = (v if len(v) == channels else (sum(v) / len(v),) for v in (data["mean"], data["std"]))  # grey: their mean
    words = cfg.get("label_names")
    return LibraryNet(
        made, (channels, h, w), args["num_classes"], mean, std, name=name,
        words=words if words is not None and len(words) == args["num_classes"] else None, images=images, resize=resize,
    )  # fmt: skip


def _made(library: Any, name: str, args: dict[str, Any], size: int | None) -> Any:
    """The net; one that is built for a size gets it."""
    if size is not None:
        try:
            return library.create_model(name, pretrained=False, img_size=size, **args)
        except TypeError:  # a net that takes any size
            pass
    return library.create_model(name, pretrained=False, **args)


def _folder(path: Path) -> tuple[str, Path, dict[str, Any]]:
    """The architecture, the weights and the configuration of a folder that timm saved."""
    config = path / "config.json"
    weights = [p for p in (path / "model.safetensors", path / "pytorch_model.bin") if p.is_file()]
    try:
        known = json.loads(config.read_text(encoding="utf-8"))
        name = str(known["architecture"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"Expected {path} to be a folder that timm saved, with the architecture in its config.json, but it is not. A model of "
            f"transformers is hf:{path}."
        ) from None
    if not weights:
        raise FileNotFoundError(f"Expected model.safetensors in {path}, but there is none.")
    cfg = dict(known.get("pretrained_cfg") or {k: v for k, v in known.items() if k in ("mean", "std", "input_size", "label_names")})
    if known.get("label_names") is not None:
        cfg["label_names"] = known["label_names"]
    return name, weights[0], {**known, "pretrained_cfg": cfg, "model_args": known.get("model_args") or {}}


def _shape(tensors: dict[str, Any], name: Any) -> tuple[int, ...] | None:
    """The shape of a layer's weights."""
    names = (name,) if isinstance(name, str) else tuple(name or ())
    found = next((v for n in names for k, v in tensors.items() if f".{k}".endswith(f".{n}.weight")), None)
    return None if found is None else tuple(found.shape)
