"""``--goal`` and ``--mask``: what a text is read as, and what is wrong with it in one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import surrogates as sg
from blackbox import specs
from blackbox.goals import (
    AnyOf,
    Detection,
    MultiLabel,
    NoneOf,
    Ranking,
    Regression,
    Segmentation,
    Verification,
    ZeroShot,
)
from blackbox.goals.base import Setting
from blackbox.protocol import Access
from blackbox.specs.goal_files import read_mask
from blackbox.specs.goal_text import FORMS, READERS, read_goal

DATA = sg.Dataset(torch.rand(3, 1, 4, 4), torch.tensor([2, 0, 1]), ("cat", "dog", "owl"))
IMAGES = specs.ImageSet(DATA, np.array([4, 1, 3]), "toy", 6)
AGES = specs.ImageSet(sg.Dataset(DATA.images, DATA.labels, ("10", "20", "30.5")), np.array([4, 1, 3]), "toy", 6)


def test_classes_by_number_word_or_each_images_own() -> None:
    some = read_goal("none-of:1,cat top 2", IMAGES)
    assert isinstance(some, NoneOf) and some.classes == [1, 0] and some.k == 2
    assert some.bound(Setting(3, Access.SCORES, 3 + 2)).describe() == "none of the classes dog, cat is among the first 2"
    one = read_goal("any-of: owl", IMAGES)
    assert isinstance(one, AnyOf) and one.classes == [2] and one.k == 1
    own = read_goal("none-of:label top 5", IMAGES)
    assert isinstance(own, NoneOf) and own.classes.tolist() == [[2], [0], [1]] and own.k == 5


def test_numbers_labels_and_embeddings(tmp_path: Path) -> None:
    years = read_goal("regression:down=2/4", AGES)
    assert isinstance(years, Regression) and years.reference.tolist() == [30.5, 10.0, 20.0] and (years.by, years.way) == (0.5, "down")
    np.save(tmp_path / "r.npy", np.arange(12.0).reshape(6, 2))
    face = read_goal(f"verification:{tmp_path}/r.npy,threshold=.6,dodge,metric=cosine", IMAGES)
    assert isinstance(face, Verification) and face.references.tolist() == [[8, 9], [2, 3], [6, 7]], "those at the images' places"
    assert (face.threshold, face.mode, face.metric) == (0.6, "dodge", "cosine")
    labels = read_goal("multilabel: hide=nudity,3; show=safe; threshold=.4", IMAGES)
    assert isinstance(labels, MultiLabel) and labels.hide == ["nudity", 3] and labels.show == ["safe"] and labels.threshold == 0.4


def test_boxes_maps_lists_and_texts(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text(json.dumps([{"boxes": [[i, 0, i + 1, 2]], "labels": [1]} for i in range(6)]))
    boxes = read_goal(f"detection:mislabel;references={tmp_path}/b.json;label=5;iou=.4", IMAGES)
    assert isinstance(boxes, Detection) and (boxes.label, boxes.iou) == (5, 0.4)
    assert [b["boxes"][0][0] for b in boxes.references] == [4, 1, 3]
    np.save(tmp_path / "m.npy", np.zeros((3, 4, 4), int))
    maps = read_goal(f"segmentation:{tmp_path}/m.npy;share=.2;reach", IMAGES)
    assert isinstance(maps, Segmentation) and (maps.share, maps.mode) == (0.2, "reach")
    item = read_goal("ranking:push=7;k=3", IMAGES)
    assert isinstance(item, Ranking) and (item.push, item.k) == (7, 3)
    np.savez(tmp_path / "t.npz", embeddings=np.eye(3), texts=["a", "b", "c"])
    text = read_goal(f"zero-shot:{tmp_path}/t.npz;leave=label", IMAGES)
    assert isinstance(text, ZeroShot) and text.leave.tolist() == [2, 0, 1] and text.names == ["a", "b", "c"]
    np.savez(tmp_path / "two.npz", embeddings=np.eye(3), texts=["a", "b"])
    for name, said in (("two.npz", "a text for each of 3 embeddings, but there are 2"), ("m.npy", "texts of --goal as a .npz file")):
        with pytest.raises(ValueError, match=said):
            read_goal(f"zero-shot:{tmp_path}/{name};leave=label", IMAGES)


def test_one_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "g.py").write_text(
        "import blackbox as bb\n\ndef far(answer):\n    return answer - 3\n\ndef made():\n    return bb.goals.NoneOf([1])\n\nwrong = 3\n"
    )
    loss = read_goal(f"{tmp_path}/g.py:far", IMAGES)
    assert loss is not None and loss.describe() == "far" and isinstance(read_goal(f"{tmp_path}/g.py:made", IMAGES), NoneOf)
    assert read_goal(f"{tmp_path}/g.py:far", IMAGES) is loss, "the file is not run for each block of a sweep"
    (tmp_path / "g.py").write_text("wrong = 3\n\ndef far(answer):\n    return answer - 4\n")
    assert read_goal(f"{tmp_path}/g.py:far", IMAGES) is not loss
    with pytest.raises(ValueError, match="function of an answer, which makes one, but it was 3"):
        read_goal(f"{tmp_path}/g.py:wrong", IMAGES)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonof:3", "one of none-of, any-of.*Did you mean 'none-of'"),
        ("none-of", "none-of:3,5 top 5, but it was 'none-of'"),
        ("none-of:cow", "a class of --goal to be one of cat, dog, owl"),
        ("regression:up=1", r"since the classes of the data \(cat"),
        ("regression:reference=3", "one of up, down and either"),
        ("regression:over=1", "a setting of --goal regression to be one of up"),
        ("verification:no.npy;threshold=1", "a file of the references of --goal at no.npy"),
        ("detection:gone", "a setting of --goal detection to be one of mode"),
        ("detection:vanish", "Expected references"),
        ("multilabel:threshold=2", "labels to hide or to show"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(text: str, said: str) -> None:
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        read_goal(text, IMAGES)


def test_every_goal_is_listed_and_read() -> None:
    assert [form.partition(":")[0] for form, _ in FORMS] == [*READERS, "file.py"]


def test_masks_from_arrays_and_pictures(tmp_path: Path) -> None:
    from PIL import Image

    wanted = np.zeros((4, 4), bool)
    wanted[1:3] = True
    Image.fromarray((wanted * 255).astype(np.uint8)).save(tmp_path / "m.png")
    np.save(tmp_path / "m.npy", wanted.astype(int))
    each = np.random.default_rng(0).random((6, 1, 4, 4)) < 0.5
    np.save(tmp_path / "each.npy", each)
    found: list[Any] = [read_mask(str(tmp_path / name), IMAGES) for name in ("m.png", "m.npy", "each.npy")]
    assert (found[0] == wanted).all() and (found[1] == wanted).all() and (found[2] == each[[4, 1, 3]]).all()
    np.save(tmp_path / "other.npy", np.ones((3, 4), bool))
    with pytest.raises(ValueError, match="4 by 4 pixels, as the images have, but .* has 3 by 4"):
        read_mask(str(tmp_path / "other.npy"), IMAGES)
    (tmp_path / "no.png").write_text("x")
    with pytest.raises(ValueError, match="or a picture"):
        read_mask(str(tmp_path / "no.png"), IMAGES)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_mask("not.png", IMAGES)


def test_patches_and_frames() -> None:
    from blackbox.areas import Frame, Patch
    from blackbox.specs import Within, area

    none = Within()
    assert area(None, None, none) is None and area(None, 2, none) == Frame(2) and area("8", None, none) == Patch(8)
    assert area("8x6@random", None, none) == Patch((8, 6), "random") and area("8x6@10,4", None, none) == Patch((8, 6), (10, 4))
    for patch, frame, within, told in (
        ("8", 2, none, "--patch and --frame were given"), ("8", None, Within(eps="1"), "--patch and --eps"),
        ("8@4", None, none, "@random or @ROW,COLUMN"), ("8x6x2", None, none, "HEIGHTxWIDTH"), ("big", None, none, "as a side"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=told):
            area(patch, frame, within)
