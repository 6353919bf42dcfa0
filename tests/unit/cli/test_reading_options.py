"""``--returns``, ``--batch`` and ``--class-names``: what a user says of a target on the command line, and folders of some classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from blackbox import specs
from blackbox.specs import Images, Model, Nets
from blackbox.specs import channels as between
from surrogates import Dataset

WORDS = "c0,c1,c2,c3"
P = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.7, 0.1, 0.1, 0.1], [0.0, 0.5, 0.25, 0.25]])


def folders(path: Path, *names: str) -> Dataset:
    from PIL import Image

    for i, name in enumerate(names):
        (path / name).mkdir(parents=True)
        Image.fromarray(np.full((2, 2), 40 * (i + 1), np.uint8)).save(path / name / "a.png")
    return specs.images(Images(f"folder:{path}")).data


@pytest.fixture
def own(tmp_path: Path) -> str:
    (tmp_path / "own.py").write_text(
        "import torch\n"
        "def percent(x):\n    assert len(x) == 2, 'two at a time'\n    return torch.tensor([[10, 20, 30, 40.0]] * 2)\n"
        "def words(x):\n    return ['c3'] * len(x)\n"
    )
    return str(tmp_path / "own.py")


def test_class_names_with_commas_are_the_targets_order(tmp_path: Path, own: str) -> None:
    folders(tmp_path / "img", "c1", "c3")
    data = specs.images(Images(f"folder:{tmp_path / 'img'}", class_names=WORDS)).data
    assert data.labels.tolist() == [1, 3] and data.classes == tuple(WORDS.split(","))
    model = specs.one_model(f"{own}:words", data, 4, Nets())
    assert specs.oracle(model, "labels", 4)(data.images).label.tolist() == [3, 3]


def test_what_is_said_reaches_the_target_behind_channels(tmp_path: Path, own: str) -> None:
    data = folders(tmp_path / "img", "a", "b", "c", "d")
    model = specs.one_model(f"{own}:percent", data, 4, Nets(returns="percent", batch=2))
    for stack in ((), between.read(["round:1"])):
        oracle = specs.oracle(model, "scores", 4, stack=stack)
        values = oracle(data.images[:3]).values
        assert torch.allclose(values, P[:1].expand(3, 4)) and oracle.rows == 3  # type: ignore[arg-type]
        assert str(oracle.reading) == "percent (announced by percent)"


def test_folders_of_some_classes_are_not_numbered(tmp_path: Path, own: str) -> None:
    """As 0, 1 ... of four classes their labels would be wrong; with numbers for names, or all words, they are right."""
    data = folders(tmp_path / "img", "c1", "c3")
    with pytest.raises(ValueError, match=r"where their classes c1, c3 stand among the target's 4, .*--class-names FILE"):
        specs.one_model(f"{own}:words", data, 4, Nets(classes=4))
    numbered = folders(tmp_path / "numbers", "0", "1")
    assert specs.one_model(f"{own}:words", numbered, 4, Nets(classes=4)).words is None

    class Four:
        name, device, returns, classes = "four", torch.device("cpu"), "probabilities", 4

        def predict(self, x: Tensor) -> Tensor:
            return P[: len(x)]

    with pytest.raises(ValueError, match=r"Expected classes=4, .* but it was 2. Give the words of all its classes .*--class-names FILE"):
        specs.oracle(Model("four", "four", Four(), words=("c1", "c3")), "scores", 2)
    with pytest.raises(ValueError, match=r"--classes 4, or --class-names FILE"):
        specs.oracle(Model("four", "four", Four(), words=("0", "1")), "scores", 2)


def test_a_raw_classifier_that_names_labels_alone_is_asked_for_no_more() -> None:
    """It was asked for scores, and the run failed at its first answer; so was every row ``scores-*`` of an evaluation."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    x, y = np.eye(4, dtype=np.float32), np.arange(4)
    fitted = make_pipeline(StandardScaler(), SVC()).fit(x, y)
    assert between.shown(fitted, "scores") == "labels"
    assert between.shown(specs.retrying(Model("svc", "own.py:svc", fitted), 1).model, "scores") == "labels"
    assert between.shown(lambda x: x, "scores", "labels") == "labels"
    assert between.shown(lambda x: x, "scores") == "scores"
    assert between.shown(fitted, "labels") == "labels"
    assert between.shown(torch.nn.Flatten(), "topk:3") == "topk:3"


def test_folders_that_a_models_words_count_otherwise_are_refused(tmp_path: Path) -> None:
    """Named ``n01498041_stingray``, they were numbered alphabetically in silence, although the model's order is another."""
    from types import SimpleNamespace

    from blackbox.specs import libraries, loaders

    data = folders(tmp_path / "img", "n01498041_stingray", "n02114855_coyote")
    asked = loaders.asked("hf:vit", data, 2)
    for words in (("coyote", "stingray"), ("n02114855", "n01498041")):
        with pytest.raises(ValueError, match="labels would be counted wrongly. Say --class-names hf:vit"):
            libraries._checked(asked, SimpleNamespace(words=words, classes=2, name="vit"))
    for other in (("stingray", "coyote"), ("cat", "dog"), None):
        assert libraries._checked(asked, SimpleNamespace(words=other, classes=2, name="vit"))[0].name == "vit"


def test_what_the_same_command_would_meet_again_is_not_promised_otherwise() -> None:
    from blackbox.cli.options import Keep

    assert Keep().again(0) == "" and "--journal" in Keep().again(3) and "goes on" in Keep(journal="j").again(0)


@pytest.mark.parametrize("name", ["pipe.joblib", "pipe.pkl"])
def test_a_pickle_is_told_how_to_be_given(name: str) -> None:
    with pytest.raises(ValueError, match=r"is a pickle, which is not read\. Write load\.py.*load\.py:load"):
        specs.one_model(name, Dataset(torch.zeros(2, 1, 2, 2), torch.tensor([0, 1]), ("a", "b")), 2, Nets())


def test_a_preset_is_no_query_attack() -> None:
    with pytest.raises(ValueError, match=r"mi-fgsm crafts examples with gradients of surrogates\. Transfer them: blackbox transfer"):
        specs.build("square,mi-fgsm", [])


def test_one_picture_is_told_of_in_the_singular() -> None:
    from blackbox.results.pictures import told

    assert told([{"holds": True}]) == "1 adversarial example as PNG; it still fools the target when read back"
    assert told([{"holds": True}] * 2).startswith("2 adversarial examples as PNG; all of them still fool")
