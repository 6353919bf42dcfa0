"""``clip:DIR``: zero-shot classifiers, whose classes are texts (Radford et al. 2021, arXiv:2103.00020; extra ``[hf]``)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.targets.packages import need
from surrogates.nets.libraries.huggingface import preprocessing, pretrained, short, split
from surrogates.nets.libraries.net import LibraryNet, floats

TEMPLATE = "a photo of a {}"


def clip(
    where: str,
    images: Sequence[int] | None = None,
    *,
    prompts: str | Sequence[str] | None = None,
    words: Sequence[str] | None = None,
    template: str = TEMPLATE,
    resize: bool = False,
) -> LibraryNet:
    """Load CLIP, SigLIP or another model of images and texts as a classifier: a class is the text nearest to the image.

    The texts are encoded once. Scores are the model's ``logits_per_image``: cosines times the learnt temperature.

    Args:
        where: as for `hf`. prompts: a text a class, or a file with one a line. words: class names, put into ``template`` at
            ``{}``, where no prompts are given.
        images, resize: as for `hf`.

    Raises:
        ModuleNotFoundError: transformers is not installed. FileNotFoundError: no such folder or file.
        ValueError: no such model, or fewer than two texts.
    """
    transformers = need("transformers", "hf", f"clip:{where}")
    texts = _texts(where, prompts, words, template)
    model, info = pretrained(transformers.AutoModelForZeroShotImageClassification, where, "a model of images and texts")
    floats(model)
    if info["missing_keys"]:
        raise ValueError(f"Expected {where} to hold all its weights, but it lacks {sorted(info['missing_keys'])[0]}.")
    path, how = split(where)
    tokenizer = transformers.AutoTokenizer.from_pretrained(path, **how)
    size, mean, std = preprocessing(where, model.config, 3)
    longest = getattr(model.config.text_config, "max_position_embeddings", None)
    # SigLIP was trained with texts filled up to the end
    fill = "max_length" if "siglip" in str(model.config.model_type) else True
    tokens = tokenizer(texts, padding=fill, truncation=True, max_length=longest, return_tensors="pt")
    given = {k: v for k, v in tokens.items() if k in ("input_ids", "attention_mask")}
    with torch.no_grad():
        encoded = _features(model.get_text_features(**given))
    names = [str(word) for word in words] if words is not None else texts
    return LibraryNet(
        _ZeroShot(model, encoded), (3, *size), len(texts), mean, std, name=short(where),
        words=names if len(names) == len(texts) else texts, images=images, resize=resize,
    )  # fmt: skip


class _ZeroShot(nn.Module):
    """Cosines between images and the encoded texts, times the model's temperature, plus its bias if it has one."""

    texts: Tensor

    def __init__(self, model: Any, texts: Tensor) -> None:
        super().__init__()
        self.model = model
        self.register_buffer("texts", texts / texts.norm(dim=-1, keepdim=True), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        found = _features(self.model.get_image_features(pixel_values=x))
        cosines = (found / found.norm(dim=-1, keepdim=True)) @ self.texts.T
        bias = getattr(self.model, "logit_bias", None)
        scores: Tensor = cosines * self.model.logit_scale.exp()
        return scores if bias is None else scores + bias


def _features(out: Any) -> Tensor:
    """Embeddings [m, d]: some releases of transformers return them alone, some inside an output object."""
    found: Tensor = out if isinstance(out, Tensor) else out.pooler_output
    return found


def _texts(where: str, prompts: str | Sequence[str] | None, words: Sequence[str] | None, template: str) -> list[str]:
    if isinstance(prompts, str):
        path = Path(prompts)
        if not path.is_file():
            raise FileNotFoundError(f"Expected a file of prompts, one a line, at {path}, but there is none.")
        prompts = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if prompts is None and words is not None:
        if "{}" not in template:
            raise ValueError(f"Expected a template with {{}} where the class goes, but it was {template!r}.")
        prompts = [template.replace("{}", str(word)) for word in words]
    if prompts is None or len(prompts) < 2:
        count = "none" if prompts is None else str(len(prompts))
        raise ValueError(
            f"Expected a text for each class of clip:{where}, but there was {count}. Give clip:{where}#prompts=FILE, one a line, or "
            "data with class names."
        )
    return [str(prompt) for prompt in prompts]
