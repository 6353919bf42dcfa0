"""Rows of a table as a data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from surrogates.data.tables import table_rows


@pytest.mark.parametrize("labels, classes, index", [
    (["2", "0", "1.0"], ("0", "1", "2"), [2, 0, 1]), (["no", "yes", "no"], ("no", "yes"), [0, 1, 0]),
    (["10.5", "9.25", "10.5"], ("9.25", "10.5"), [1, 0, 1]), (["70000", "3", "3"], ("3", "70000"), [1, 0, 0]),
    (["x", "x", "x"], ("x", "none"), [0, 0, 0]),
])  # fmt: skip
def test_labels_are_numbers_of_classes_or_words(labels: list[str], classes: tuple[str, ...], index: list[int], tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a,y,b\n" + "".join(f"{i},{label},{i / 2}\n" for i, label in enumerate(labels)))
    found = table_rows(file, "y")
    assert (found.classes, found.labels.tolist(), found.columns) == (classes, index, ("a", "b"))
    assert found.images.tolist() == [[0, 0], [1, 0.5], [2, 1]] and found.take([2]).images.tolist() == [[2, 1]]


def test_arrays_are_read_too_and_faults_are_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", rows=np.float32([[1, 2]]), labels=[1], columns=["a", "b"])
    found = table_rows(tmp_path / "t.npz", leave_out=["a"])
    assert found.columns == ("b",) and found.images.dtype.itemsize == 4 and found.classes == ("0", "1")
    for text, told in (("a,b\n", "at least one row"), ("a,b\n1\n", "row 0 has 1"), ("a,b\n1,\n", "'b' is empty in row 0")):
        (tmp_path / "t.csv").write_text(text)
        with pytest.raises(ValueError, match=told):
            table_rows(tmp_path / "t.csv")
    with pytest.raises(FileNotFoundError, match="Expected a table at"):
        table_rows(tmp_path / "none.csv")
    (tmp_path / "d.npz").write_bytes(b"PK\x03\x04 and then nothing")
    with pytest.raises(ValueError, match=r"d\.npz to be a \.npz file"):
        table_rows(tmp_path / "d.npz")
    np.savez(tmp_path / "u.npz", images=np.zeros((2, 2)))
    with pytest.raises(ValueError, match="to hold an array rows .*it has images"):
        table_rows(tmp_path / "u.npz")
