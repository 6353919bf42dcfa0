"""A result as a Hugging Face data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from blackbox.results.frame import to_pandas
from blackbox.results.pictures import as_picture, on_levels, own_images
from blackbox.targets.packages import need

if TYPE_CHECKING:
    from datasets import Dataset
    from torch import Tensor

    from blackbox.results.result import AttackResult


def to_dataset(result: AttackResult, images: Tensor, classes: Sequence[str] | None = None) -> Dataset:
    """The data set; see `AttackResult.to_dataset`."""
    datasets = need("datasets", "data", "a Hugging Face data set")
    images = own_images(result, images)
    table = to_pandas(result)
    columns: dict[str, Any] = {name: table[name].astype(object).where(table[name].notna(), None).tolist() for name in table}
    features = datasets.Features(
        {name: datasets.Value(_kind(str(table[name].dtype))) for name in table}
        | {"original": datasets.Image(), "adversarial": datasets.Image()}
    )
    classes = classes if classes is not None else result.config.get("class_names")
    if classes is not None:
        for name in ("label", "clean_label", "adv_label", "target_label"):
            if name in features:
                features[name] = datasets.ClassLabel(names=[str(c) for c in classes])
    found = result.success.nonzero().flatten()
    columns["original"] = [as_picture(x, i) for i, x in enumerate(images)]
    columns["adversarial"] = [None] * len(result)
    for i, x in zip(found.tolist(), on_levels(result, found, images), strict=True):
        columns["adversarial"][i] = as_picture(x, i)
    return datasets.Dataset.from_dict(columns, features=features)


def _kind(dtype: str) -> str:
    return {"Int64": "int64", "boolean": "bool", "string": "string", "str": "string", "object": "string"}.get(dtype, dtype)
