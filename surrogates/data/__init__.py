"""Data: labelled images, and the loaders that read them."""

from surrogates.data.dataset import Dataset, as_dataset, class_names, digits, folder, load, npz, split

__all__ = ["Dataset", "as_dataset", "class_names", "digits", "folder", "load", "npz", "split"]
