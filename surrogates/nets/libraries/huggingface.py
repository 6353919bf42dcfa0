"""``hf:DIR[@revision]``: image classifiers that Hugging Face's transformers saved (extra ``[hf]``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from blackbox.targets.packages import need
from surrogates.nets.libraries.net import LibraryNet, floats, per_channel


def hf(
    where: str, images: Sequence[int] | None = None, *, resize: bool = False, mean: Any = None, std: Any = None
) -> LibraryNet:
    """Load an image classifier with its processor's size, mean and std, and its class words.

    Args:
        where: a folder that ``save_pretrained`` wrote, for the model and its image processor; or the name of one in the local
            cache, ``owner/name@revision``. It is read from disk only, and no code in it is run.
        images: the shape of the images it will be given. resize: resize them inside where it is another.
        mean, std: for a model without a processor.

    Raises:
        ModuleNotFoundError: transformers is not installed. FileNotFoundError: no such folder.
        ValueError: no image classifier, one without trained weights for every layer, or one of several labels an image.
    """
    transformers = need("transformers", "hf", f"hf:{where}")
    found, info = pretrained(transformers.AutoModelForImageClassification, where, "an image classifier")
    if lacking := sorted(info["missing_keys"]):
        raise ValueError(
            f"Expected {where} to hold the weights of every layer, but it lacks {', '.join(lacking[:3])}, which would be random. "
            "Save the model after it was trained for its classes."
        )
    config = found.config
    if config.problem_type == "multi_label_classification":
        raise ValueError(f"Expected one label an image, but {where} gives several (multi_label_classification).")
    channels = int(getattr(config, "num_channels", 3))
    size, mean, std = preprocessing(where, config, channels, mean, std)
    words = [str(config.id2label[i]) for i in range(config.num_labels)]
    said = None if words == [f"LABEL_{i}" for i in range(len(words))] else words
    return LibraryNet(
        _Logits(floats(found)), (channels, *size), config.num_labels, mean, std, name=short(where), words=said, images=images,
        resize=resize,
    )  # fmt: skip


class _Logits(nn.Module):
    """The model's logits for pixel values."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.model(pixel_values=x).logits
        return logits


def split(where: str) -> tuple[str, dict[str, Any]]:
    """The path of ``DIR@revision``, and the arguments to load it with."""
    path, at, revision = where.rpartition("@")
    if Path(where).is_dir() or not at:
        path, revision = where, ""
    if not Path(path).is_dir() and (path.startswith((".", "/", "~")) or path.count("/") != 1):
        raise FileNotFoundError(f"Expected a folder that save_pretrained wrote at {path}, but there is none.")
    return path, {"local_files_only": True, **({"revision": revision} if revision else {})}


def pretrained(kind: Any, where: str, what: str) -> tuple[Any, dict[str, Any]]:
    """A model of the class ``kind``, and which weights were missing.

    Raises:
        FileNotFoundError, ValueError: it cannot be loaded.
    """
    from transformers.utils import logging

    path, how = split(where)
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # what it would warn of is raised
    logging.disable_progress_bar()
    try:
        made, info = kind.from_pretrained(path, output_loading_info=True, **how)
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        there = Path(path).is_dir()
        said = " ".join(str(error).split())[:200]
        if not there:
            raise FileNotFoundError(
                f"Expected {where} to be a folder that save_pretrained wrote, or in the local cache, but it is neither; nothing "
                f"is downloaded ({said})."
            ) from error
        raise ValueError(f"Expected {where} to hold {what} that save_pretrained wrote, but: {said}") from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
    return made.eval(), info


def preprocessing(
    where: str, config: Any, channels: int, mean: Any = None, std: Any = None
) -> tuple[tuple[int, int], tuple[float, ...], tuple[float, ...]]:
    """Height and width, mean and std, in units of [0, 1] images, of the processor beside a model."""
    from transformers import AutoImageProcessor

    path, how = split(where)
    try:
        processor = AutoImageProcessor.from_pretrained(path, **how)
    except (OSError, ValueError) as error:
        vision = getattr(config, "vision_config", config)
        side = getattr(vision, "image_size", None)
        if mean is None or std is None or side is None:
            raise ValueError(
                f"Expected an image processor (preprocessor_config.json) in {where}, which says size, mean and std, but there is "
                "none. Save it there with processor.save_pretrained(DIR), or give --mean and --std."
            ) from error
        height, width = (side, side) if isinstance(side, int) else tuple(side)
        return (int(height), int(width)), per_channel(mean, channels), per_channel(std, channels)
    if mean is not None or std is not None:
        raise ValueError(f"Expected no mean and std for hf:{where}, whose processor has its own.")
    scale = 255 * float(processor.rescale_factor) if getattr(processor, "do_rescale", True) else 255.0
    offset = 1.0 if getattr(processor, "rescale_offset", False) else 0.0
    normalise = getattr(processor, "do_normalize", True)
    m = per_channel(processor.image_mean, channels) if normalise else (0.0,) * channels
    s = per_channel(processor.image_std, channels) if normalise else (1.0,) * channels
    # ((x scale - offset) - m) / s = (x - (m + offset) / scale) / (s / scale)
    return _size(processor, where), tuple((v + offset) / scale for v in m), tuple(v / scale for v in s)


def _size(processor: Any, where: str) -> tuple[int, int]:
    crop = getattr(processor, "crop_size", None) if getattr(processor, "do_center_crop", False) else None
    size = crop or getattr(processor, "size", None)
    if isinstance(size, int):
        return size, size
    said = dict(size or {})
    if said.get("height") and said.get("width"):
        return int(said["height"]), int(said["width"])
    if said.get("shortest_edge"):
        return (int(said["shortest_edge"]),) * 2
    raise ValueError(f"Expected the processor in {where} to say a height and a width, but its size is {said}.")


def short(where: str) -> str:
    """A model's name for reports: the last part of its path."""
    return Path(where.rstrip("/")).name or where
