"""The table of model specs: which prefix (``hf:``) or ending (``.onnx``) is loaded by what.

A new kind of model is one line in `TABLE` and a function that takes an `Asked` and returns a list of `Model`. An installed
package adds its own by an entry point of the group ``blackbox.targets``: ``mine = "package.module:load"`` makes ``mine:TEXT``
a spec, and ``load("TEXT")`` returns whatever an `Oracle` takes. Settings follow a ``#`` and are passed by keyword.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from blackbox.plain_text import did_you_mean
from blackbox.plugins import package_of, plugins
from blackbox.specs import parse
from blackbox.specs.options import Nets

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

    from surrogates import Dataset

GROUP = "blackbox.targets"
SURROGATE_FILE = "surrogate.safetensors"


@dataclass(frozen=True)
class Model:
    """A model and its spec. ``model``: what an Oracle takes. ``net``: the same if it is differentiable, else None.

    ``returns``, ``batch``: as its user says (`blackbox.targets.FunctionTarget`). ``words``: of its classes, as the data name them.
    """

    name: str
    spec: str
    model: Any
    net: Any = None
    returns: str | None = None
    batch: int | None = None
    words: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Asked:
    """A spec that is to be loaded. rest: its text without prefix and settings. words: its settings, ``["threads=2"]``.
    data: the images that it will be queried with; ``classes`` of them. seed: of what is trained on loading."""

    spec: str
    rest: str
    words: list[str]
    data: Dataset | None
    classes: int | None
    nets: Nets
    seed: int = 0

    def settings(self, known: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
        """The values of the settings, by a table of names with (type, default)."""
        return parse.assign(known, self.words, f"a setting of {self.spec.partition('#')[0]}", "NAME=VALUE after #")


@dataclass(frozen=True)
class Loader:
    """A kind of model spec.

    form: how it is written, the word before ``:`` being its prefix. what: one line for ``blackbox list models``.
    load: "module:function". endings: of the files that need no prefix. several: a comma belongs to the spec.
    prints: "module:function" from a spec to a hash of the model; by default that of the file or folder it names.
    """

    form: str
    what: str
    load: str
    prefixes: tuple[str, ...] = ()
    endings: tuple[str, ...] = ()
    several: bool = False
    prints: str = ""

    def __call__(self, asked: Asked) -> list[Model]:
        """The models of a spec."""
        made: list[Model] = _function(self.load)(asked)
        return made


PROGRAM = Loader(
    "net.pt, net.ts, net.pt2", "TorchScript, and programs of torch.export", "blackbox.specs.adapters:program",
    endings=(".pt2", ".ts", ".torchscript"), prints="blackbox.specs.adapters:file_hash",
)  # fmt: skip
FOLDER = Loader("runs/s1", "a folder that blackbox surrogate wrote", "blackbox.specs.model:folder")
NET = Loader(
    "NET:path.safetensors", "one of the nets below with weights (.safetensors, or .pt with tensors only)",
    "blackbox.specs.model:net",
)  # fmt: skip

TABLE: tuple[Loader, ...] = (
    Loader(
        "digits:NAME", "a built-in target on the digits, see: blackbox list targets", "blackbox.specs.model:digits",
        ("digits",), several=True,
    ),
    NET,
    Loader("path.safetensors", "weights that this package wrote: they name their net", NET.load, (), (".safetensors",)),
    FOLDER,
    Loader(
        "net.onnx", "an ONNX file (extra [onnx]); net.onnx#output=NAME,threads=2", "blackbox.specs.adapters:onnx",
        endings=(".onnx",), prints="blackbox.specs.adapters:file_hash",
    ),
    PROGRAM,
    Loader(
        "http://127.0.0.1:PORT",
        "what blackbox serve serves, or your own server (docs/how-to/http.md); …#rate=200,timeout=10,retries=4",
        "blackbox.specs.adapters:endpoint", ("http", "https"), prints="blackbox.specs.adapters:announced",
    ),
    Loader(
        "rest:FILE.toml", "a JSON service of anybody's make, as the file says (extra [http]; docs/how-to/json-service.md)",
        "blackbox.specs.adapters:service", ("rest",), prints="blackbox.specs.adapters:service_file",
    ),
    Loader(
        "hf:DIR", "an image classifier that Hugging Face's transformers saved, from disk (extra [hf]); hf:DIR@revision, …#resize=true",
        "blackbox.specs.libraries:net", ("hf",),
    ),
    Loader(
        "timm:NAME:path", "a net of timm with weights, or timm:DIR, a folder that it saved (extra [models])",
        "blackbox.specs.libraries:net", ("timm",),
    ),
    Loader(
        "torchvision:NAME:path", "one of the classifiers of torchvision with weights; IMAGENET1K_V1 brings its own transforms",
        "blackbox.specs.libraries:torchvision", ("torchvision",),
    ),
    Loader(
        "robustbench:NAME", "of the leaderboard, from disk (extra [robustbench]); …#dataset=imagenet,threat=L2,folder=models",
        "blackbox.specs.libraries:net", ("robustbench",), prints="blackbox.specs.libraries:robustbench_hash",
    ),
    Loader(
        "clip:DIR", "zero-shot, one text a class (extra [hf]); …#prompts=FILE, or #template=a photo of a {} with data's class names",
        "blackbox.specs.libraries:net", ("clip",),
    ),
    Loader(
        "net.keras", "a Keras model (extra [keras]); net.keras#layout=first", "blackbox.specs.libraries:keras", endings=(".keras",),
        prints="blackbox.specs.adapters:file_hash",
    ),
    Loader(
        "net.tflite", "TensorFlow Lite, run by LiteRT (extra [tflite]); net.tflite#mean=0.5,std=0.5",
        "blackbox.specs.libraries:tflite", endings=(".tflite",), prints="blackbox.specs.adapters:file_hash",
    ),
    Loader(
        "trees.ubj, trees.json, trees.txt", "XGBoost's boosters (.ubj, .json) and LightGBM's (.txt) (extra [boost])",
        "blackbox.specs.libraries:boosted", endings=(".ubj", ".json", ".txt"), prints="blackbox.specs.adapters:file_hash",
    ),
    Loader(
        "file.py:function",
        "a function of your own: the model's answer to images, or without arguments a maker of a model",
        "blackbox.specs.model:own_file", endings=(".py",), several=True,
    ),
)  # fmt: skip


def find(spec: str) -> Loader:
    """The kind of a spec; `NET` for what nothing else claims."""
    text = spec.partition("#")[0]
    head, colon, _ = text.partition(":")
    if colon and (found := by_prefix().get(head.lower())) is not None:
        return found
    endings = {ending: each for each in TABLE for ending in each.endings}
    path = Path(text if not colon or Path(text).exists() else head)
    if path.suffix in endings and not (path.suffix != ".py" and path.is_dir()):
        return endings[path.suffix]
    if path.suffix == ".pt":
        from blackbox.targets import archives

        return PROGRAM if archives.kind(path) is not None else NET
    return FOLDER if path.is_dir() else NET


def by_prefix() -> dict[str, Loader]:
    """The kinds that a prefix names, those of installed packages last; none of them replaces one of the table."""
    own = {prefix: each for each in TABLE for prefix in each.prefixes}
    return {**{name: _plugged(name, entry) for name, entry in plugins(GROUP).items()}, **own}


def load(
    spec: str, data: Dataset | None, classes: int | None = None, nets: Nets | None = None, seed: int = 0
) -> list[Model]:
    """Load the models of a spec.

    Raises:
        ValueError, FileNotFoundError, ModuleNotFoundError, ConnectionError: there is none, or it does not load; says why.
    """
    return find(spec)(asked(spec, data, classes, nets, seed))


def asked(
    spec: str, data: Dataset | None = None, classes: int | None = None, nets: Nets | None = None, seed: int = 0
) -> Asked:
    """Split ``net.onnx#threads=2`` into the file and its settings."""
    text, _, words = spec.partition("#")
    head, colon, rest = text.partition(":")
    inner = rest if colon and head.lower() in by_prefix() and head.lower() not in ("http", "https") else text
    return Asked(spec, inner, parse.words(words), data, classes, nets or Nets(), seed)


def others(spec: str) -> str:
    """What a spec that names no net might be: the nearest prefix, and all the forms."""
    head, colon, rest = spec.partition(":")
    near = did_you_mean(head, [*by_prefix()], shown=lambda word: f"{word}:{rest}") if colon else ""
    forms = [each.form for each in (*TABLE, *by_prefix().values()) if each is not NET]
    return f"{near} Other models are {', '.join(dict.fromkeys(forms))}."


def print_of(spec: str, own_endpoint: bool = False) -> str:
    """A hash of what a spec names: of its file, of the files of its folder, or of what an endpoint announces; "" for others.

    Raises:
        FileNotFoundError: no such file. ConnectionError: the endpoint does not answer.
    """
    kind = find(spec)
    if kind.prints:
        made: str = _function(kind.prints)(asked(spec, nets=Nets(own_endpoint=own_endpoint)))
        return made
    if "digits" in kind.prefixes:
        return ""
    rest = asked(spec).rest
    parts = [part for part in (rest, rest.partition(":")[0], rest.rpartition(":")[2], rest.rpartition("@")[0]) if part]
    for path in map(Path, parts):
        if path.is_file():
            return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        if (path / SURROGATE_FILE).is_file() and kind in (NET, FOLDER):
            return hashlib.sha256((path / SURROGATE_FILE).read_bytes()).hexdigest()[:16]
        if path.is_dir() and kind is not NET:
            digest = hashlib.sha256()
            for each in sorted(p for p in path.rglob("*") if p.is_file()):
                digest.update(str(each.relative_to(path)).encode())
                digest.update(each.read_bytes())
            return digest.hexdigest()[:16]
    named = next((p for p in parts if Path(p).suffix in (".py", ".safetensors", ".pth", ".pt")), None)
    if named:
        raise FileNotFoundError(f"Expected the model {spec}, but there is no file {named}.")
    return ""


def keywords(function: Callable[..., Any], skip: tuple[str, ...] = ()) -> dict[str, tuple[Any, Any]]:
    """The settings that a function takes by keyword: name -> (type, default or MISSING)."""
    hints = get_type_hints(function)
    given = [p for p in inspect.signature(function).parameters.values() if p.kind is p.KEYWORD_ONLY and p.name not in skip]
    return {p.name: (hints.get(p.name, str), MISSING if p.default is p.empty else p.default) for p in given}


def _function(where: str) -> Callable[..., Any]:
    module, _, name = where.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return found


def _plugged(name: str, entry: EntryPoint) -> Loader:
    return Loader(f"{name}:…", f"of the package {package_of(entry)}", "blackbox.specs.adapters:plugged", (name,))
