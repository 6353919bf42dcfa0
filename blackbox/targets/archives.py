"""Checks the contents of a saved torch program before torch loads it.

Loading a file must not run code of its author's choice. Both of torch's program formats are zip archives, and both
loaders trust them more than their names suggest (as of torch 2.15):

* ``torch.jit.load`` (TorchScript) compiles the source under ``code/`` with TorchScript's own compiler, and reads its
  pickles with a reader in C++ that makes tensors and TorchScript objects only: no Python runs. But a program may call any
  operator that is registered, and ``aten::save`` and ``aten::from_file`` write and map files of any name; ``__setstate__``
  runs while loading.
* ``torch.export.load`` unpickles weights, constants and sample inputs with Python's pickle where the archive asks it to
  (``use_pickle``, ``opaque_obj_…``, or sample inputs that the safe reader refuses), evaluates symbolic sizes with
  ``sympy.sympify``, which is ``eval``, looks operators up as attributes of ``torch`` (``torch.os.system`` is one), writes
  names into Python source that it then executes, and loads compiled libraries (``data/aotinductor``).

So archives are read here first. What is known to be harmless is copied into a new archive in memory, and only this is
given to torch; everything else is refused, saying what was found. It is an allow list, not a deny list.
What remains: a program may compute for ever, need more memory than there is, or trigger a fault in torch's operators.
Load your own files; for anybody else's prefer ONNX or safetensors, or serve them from a sandbox (``blackbox serve``).
"""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import torch

TORCHSCRIPT, EXPORTED = "TorchScript", "an exported program"
_CODE = r"code/.*\.py"
_IDLE = re.compile(rf"{_CODE}\.debug_pkl|traced_inputs(/\d+|\.pkl)|extra/.*")  # not needed to run the program, so left out
_SCRIPT = re.compile(rf"({_CODE}|data\.pkl|(data|constants)/\d+|constants\.pkl|version|byteorder|\.data/\w+)")
_PARTS = re.compile(
    r"(data/weights/weight_\d+|data/constants/tensor_\d+|data/(weights|constants)/model_\w+_config\.json|models/model\.json"
    r"|data/sample_inputs/model\.pt|archive_format|archive_version|byteorder|\.data/\w+)"
)
_OPERATORS = r"aten|prim|prims|quantized|_quantized|quantization|quantized_decomposed|torchvision|mkldnn_prepacked"
_FILES = r"save|from_file"
_TARGET = re.compile(
    rf"torch\.ops\.({_OPERATORS})\.(?!({_FILES})\b)\w+(\.\w+)?"
    r"|torch\.ops\.higher_order\.(cond|wrap_with_set_grad_enabled|wrap_with_autocast)"
    r"|_operator\.(add|sub|mul|truediv|floordiv|mod|pow|neg|pos|eq|ne|lt|le|gt|ge|and_|or_|not_|getitem|lshift|rshift)"
    r"|torch\.(_?sym_(int|float|min|max|not|ite|sum|sqrt))|math\.(ceil|floor|trunc|sqrt)"
)
_NAME = re.compile(r"[\w.\-]*")
_SYMBOL = re.compile(r"\b[suz]\d+\b")
_SYMPY = re.compile(
    "Symbol|Integer|Float|Rational|Add|Mul|Pow|Max|Min|Mod|FloorDiv|ModularIndexing|Where|PythonMod|CleanDiv|CeilToInt"
    "|FloorToInt|CeilDiv|LShift|RShift|PowByNatural|FloatPow|FloatTrueDiv|IntTrueDiv|TruncToInt|RoundToInt|ToFloat|Eq|Ne|Lt"
    "|Le|Gt|Ge|And|Or|Not|Piecewise|ExprCondPair|true|false|True|False|positive|nonnegative|integer|precision|evaluate"
)
_EXPRESSION = re.compile(r"[\w\s'(),=+\-*/<>!.]*")
_FLOATS = {6: torch.float16, 7: torch.float32, 8: torch.float64, 13: torch.bfloat16}  # as the format numbers them
_TREES = frozenset({None, "builtins.tuple", "builtins.list", "builtins.dict"})


class Rows(NamedTuple):
    """The input of an exported program. shape: of an image, None where any size is accepted. least, most: rows a call.
    example: zeros of the shape that it was exported with."""

    shape: tuple[int | None, ...]
    least: int
    most: int | None
    example: torch.Tensor


def kind(path: Path) -> str | None:
    """The kind of an archive by its contents, not its name: `TORCHSCRIPT`, `EXPORTED`, or None."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [_inside(name) for name in archive.namelist()]
    except (OSError, zipfile.BadZipFile):
        return None
    if any(re.fullmatch(_CODE, name) for name in names):
        return TORCHSCRIPT
    old = "serialized_exported_program.json" in archive.namelist()
    return EXPORTED if old or "archive_format" in names else None


def script(path: Path) -> io.BytesIO:
    """Read a TorchScript archive, checked to touch no files, for ``torch.jit.load``.

    Raises:
        FileNotFoundError, ValueError: no such file, not such an archive, or something in it is refused.
    """
    parts = _read(path, TORCHSCRIPT, _SCRIPT)
    for name, content in parts.items():
        if not re.fullmatch(_CODE, _inside(name)):
            continue
        for what in _script_faults(_text(content, path, name)):
            raise _refused(path, what)
    if found := re.search(rb"torch\.classes\.(?!quantized)[\w.]+", b"".join(parts.values())):
        raise _refused(path, f"holds an object of {found[0].decode()}, which is none that a classifier needs")
    return _packed(parts)


def exported(path: Path) -> tuple[io.BytesIO, Rows]:
    """Read an archive of ``torch.export.save``, without pickles, for ``torch.export.load``; also return its input.

    Raises:
        FileNotFoundError, ValueError: no such file, not such an archive, or something in it is refused.
    """
    parts = _read(path, EXPORTED, _PARTS)
    program: dict[str, Any] = {}
    for name, content in parts.items():
        if not name.endswith(".json"):
            continue
        try:
            found = json.loads(content)
        except ValueError as error:
            raise ValueError(f"Expected JSON in {path} under {name}, but: {error}. Export it again.") from None
        if _inside(name) == "models/model.json":
            program = found = _plain(found)
            parts[name] = json.dumps(found).encode()
        for fault in _faults(found):
            raise _refused(path, fault)
    try:
        rows = _rows(program)
    except (KeyError, TypeError, IndexError, AttributeError, ValueError) as error:
        raise ValueError(
            f"Expected an exported program in {path} whose one input is images of floats, but it is described otherwise "
            f"({error}). Export a model that takes them alone."
        ) from None
    # the sample inputs are a pickle; zeros of their shape serve as well
    example = io.BytesIO()
    torch.save(((rows.example,), {}), example)
    return _packed({k: example.getvalue() if "/sample_inputs/" in k else v for k, v in parts.items()}), rows


def _script_faults(source: str) -> Iterator[str]:
    """Yield what in TorchScript source is not known to be harmless.

    ``torch``, ``ops`` and their members can be assigned to other names, so it is not enough to search for calls of them.
    """
    if found := re.search(rf"""[.'"]\s*({_FILES})\b""", source):
        yield f"names {found[1]}, which writes or reads files"
    for found in re.finditer(r"(?<![\w.])ops\b(?:\s*\.\s*(\w+)\s*\.\s*(\w+))?", source):
        if not re.fullmatch(_OPERATORS, found[1] or ""):
            yield f"names {found[0]}, which is no operator that a classifier needs"
    for found in re.finditer(r"\bgetattr\b(?P<plain>\s*\(\s*\w+\s*,\s*\"[\w.]*\"\s*\))?", source):
        if not found["plain"]:
            yield "looks up an attribute whose name cannot be read"


def _read(path: Path, wanted: str, known: re.Pattern[str]) -> dict[str, bytes]:
    """Read the parts of an archive, all of which must match ``known``."""
    if not path.is_file():
        raise FileNotFoundError(f"Expected {wanted} at {path}, but there is no such file.")
    found = kind(path)
    if found != wanted:
        what = f"it is {found}" if found else "it is none (is it whole?)"
        hint = {TORCHSCRIPT: "torch.jit.save", EXPORTED: "torch.export.save"}[wanted]
        raise ValueError(
            f"Expected {wanted} in {path}, as {hint} writes it, but {what}. Pickles are refused, because reading one can run any code."
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not _IDLE.fullmatch(_inside(name))]
            for name in names:
                if not known.fullmatch(_inside(name)):
                    raise _refused(path, f"holds {name}, {_why(_inside(name))}")
            if len(set(names)) < len(names) or len({name.partition('/')[0] for name in names}) > 1:
                raise _refused(path, "holds two parts of the same name")
            return {name: archive.read(name) for name in names}
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"Expected {wanted} in {path}, but it cannot be read: {error}. Export it again.") from None


def _why(inside: str) -> str:
    if "aotinductor" in inside:
        return "a compiled library"
    if inside.endswith((".pt", ".pkl")) or "_obj_" in inside:
        return "a pickle, and reading one can run any code"
    return "which has no place in it; archives of torch before 2.8 have to be exported again"


def _packed(parts: dict[str, bytes]) -> io.BytesIO:
    """Pack these parts into a new archive, so that torch reads only what was checked."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    out.seek(0)
    return out


def _inside(name: str) -> str:
    """``net/code/a.py`` -> ``code/a.py``: drop the first folder, which has the archive's name."""
    return name.partition("/")[2]


def _text(content: bytes, path: Path, name: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _refused(path, f"has source that is no text under {name}") from None


def _refused(path: Path, what: str) -> ValueError:
    return ValueError(f"Expected a program in {path} that only computes, but it {what}. Such files are refused.")


def _plain(program: Any) -> Any:
    """Remove what is not needed to run the program: notes on each node's origin, and guards, which are source code."""
    if isinstance(program, dict):
        dropped: dict[str, Any] = {"metadata": {}, "guards_code": []}
        return {k: dropped[k] if k in dropped else _plain(v) for k, v in program.items()}
    return [_plain(v) for v in program] if isinstance(program, list) else program


def _faults(found: Any, key: str = "") -> Iterator[str]:
    """Yield what in a description is not known to be harmless. Every string is checked by its key."""
    if isinstance(found, dict):
        if found.get("use_pickle"):
            yield "holds a pickle, and reading one can run any code"
        for name, value in found.items():
            if not _NAME.fullmatch(name):
                yield f"has the name {name[:80]!r}, and names become source code"
            yield from _faults(value, name)
    elif isinstance(found, list):
        for value in found:
            yield from _faults(value, key)
    elif isinstance(found, str) and key != "as_string" and not _harmless(found, key):
        yield f"has {key or 'a value'} {found[:80]!r}, which is none that a classifier needs"


def _harmless(text: str, key: str) -> bool:
    if key == "as_operator" or (key == "target" and text.startswith(("torch", "_operator", "math", "#"))):
        return bool(_TARGET.fullmatch(text))
    if key == "expr_str":
        words = re.findall(r"[A-Za-z_]\w*", text)
        dotted = re.search(r"[A-Za-z_)]\s*\.|\.\s*[A-Za-z_]", text)
        return bool(_EXPRESSION.fullmatch(text)) and not dotted and all(_SYMPY.fullmatch(w) or _SYMBOL.fullmatch(w) for w in words)
    if key in ("in_spec", "out_spec"):
        return _tree(text)
    return key == "torch_version" or bool(_NAME.fullmatch(text))


def _tree(text: str) -> bool:
    """Whether inputs or outputs are nested in tuples, lists and dicts only."""
    try:
        _, root = json.loads(text)
        left = [root]
        while left:
            node = left.pop()
            if node["type"] not in _TREES:
                return False
            left += node["children_spec"]
    except (ValueError, TypeError, KeyError):
        return False
    return True


def _rows(program: dict[str, Any]) -> Rows:
    """The numbers of rows and the image shape that the only input accepts."""
    module = program["graph_module"]
    inputs = [s["user_input"]["arg"] for s in module["signature"]["input_specs"] if "user_input" in s]
    if len(inputs) != 1:
        raise ValueError(f"it has {len(inputs)} inputs")
    known = module["graph"]["tensor_values"][inputs[0]["as_tensor"]["name"]]
    if known["dtype"] not in _FLOATS or len(known["sizes"]) < 2:
        raise ValueError("its input has another type, or no row axis")
    batch, *shape = known["sizes"]
    sample = [n["as_int"] if "as_int" in n else n["as_expr"]["hint"]["as_int"] for n in known["sizes"]]
    limits: dict[str, Any] = {"min_val": batch.get("as_int"), "max_val": batch.get("as_int")}
    if "as_expr" in batch:
        symbols = set(_SYMBOL.findall(batch["as_expr"]["expr_str"]))
        limits = program["range_constraints"].get(symbols.pop(), {}) if len(symbols) == 1 else {}
    most = limits.get("max_val")
    return Rows(
        tuple(n.get("as_int") for n in shape),
        max(limits.get("min_val") or 1, 1),
        most if most is not None and most < 2**31 else None,
        torch.zeros(sample, dtype=_FLOATS[known["dtype"]]),
    )
