"""Data: labelled images, the loaders that read them, and a target's answers to images."""

from surrogates.data.answers import Answers, ask
from surrogates.data.dataset import Dataset, as_dataset, class_names, split
from surrogates.data.loaders import digits, folder, hugging_face, load, npz, photograph

__all__ = [
    "Answers", "Dataset", "as_dataset", "ask", "class_names", "digits", "folder", "hugging_face", "load", "npz",
    "photograph", "split",
]  # fmt: skip
