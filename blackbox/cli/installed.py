"""What is installed: every extra, the packages it brings, and their versions."""

from __future__ import annotations

from importlib import metadata

EXTRAS = {
    "app": ("gradio",),
    "dask": ("dask", "distributed"),
    "onnx": ("onnxruntime",),
    "tflite": ("ai-edge-litert",),
    "hf": ("transformers",),
    "models": ("timm",),
    "robustbench": ("robustbench",),
    "keras": ("keras",),
    "jax": ("jax",),
    "boost": ("xgboost", "lightgbm"),
    "http": ("httpx", "jmespath"),
    "data": ("pandas", "pyarrow", "datasets"),
    "log": ("tensorboard",),
    "wandb": ("wandb",),
    "mlflow": ("mlflow-skinny",),
    "tune": ("optuna",),
    "ray": ("ray",),
    "peers": ("foolbox", "adversarial-robustness-toolbox", "torchattacks"),
}
BRINGS = {
    "app": "the interactive page", "dask": "sweeps on several machines", "onnx": "net.onnx", "tflite": "net.tflite",
    "hf": "hf:DIR, clip:DIR", "models": "timm:NAME:path", "robustbench": "robustbench:NAME", "keras": "net.keras",
    "jax": "JAX functions", "boost": "XGBoost, LightGBM", "http": "rest:FILE.toml", "data": "tables, data sets",
    "log": "TensorBoard", "wandb": "Weights & Biases", "mlflow": "MLflow", "tune": "blackbox.tune by Optuna",
    "ray": "sweeps on Ray", "peers": "comparisons with other toolkits",
}  # fmt: skip


def version(package: str) -> str | None:
    """The version of a package; None where it is not installed."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def rows() -> list[list[str]]:
    """A table with its head: each extra, what it is for, and what is installed of it or how to install it."""
    out = [["extra", "for", "installed"]]
    for extra, packages in EXTRAS.items():
        there = {package: version(package) for package in packages}
        have = ", ".join(f"{package} {found}" for package, found in there.items() if found)
        lacking = [package for package, found in there.items() if not found]
        mend = f"missing {', '.join(lacking)}: pip install 'blackbox-transfer[{extra}]'" if lacking else ""
        out.append([f"[{extra}]", BRINGS[extra], "; ".join(filter(None, [have, mend]))])
    return out
