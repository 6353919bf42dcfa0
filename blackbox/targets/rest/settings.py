"""`Settings`: how a service is queried and its answers are read. Checked before the first query."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from blackbox.plain_text import of_toml
from blackbox.targets.address import address

UNITS = {"s": 1, "sec": 1, "second": 1, "m": 60, "min": 60, "minute": 60, "h": 3600, "hour": 3600}


def _rate(value: Any) -> Any:
    """``"600/min"`` -> 10.0, requests a second."""
    if not isinstance(value, str):
        return value
    number, slash, unit = value.partition("/")
    try:
        return float(number) / UNITS[unit.strip() if slash else "s"]
    except (ValueError, KeyError):
        raise ValueError(f"Expected a rate such as 10/s or 600/min, but it was {value!r}.") from None


def _names(value: Any) -> Any:
    """A file with a name a line, or the names themselves separated by commas."""
    if isinstance(value, (str, Path)):
        path = Path(value)
        if path.is_file():
            return tuple(line.strip() for line in path.read_text("utf-8").splitlines() if line.strip())
        if path.suffix in (".txt", ".names", ".csv"):
            raise ValueError(f"Expected a file of class names, one a line, but there is no file {value}.")
        return tuple(word.strip() for word in str(value).split(",") if word.strip())
    return tuple(str(name) if isinstance(name, int) else name for name in value) if isinstance(value, list) else value


class Settings(BaseModel):
    """How a JSON service is queried and its answers are read.

    **Where.**
        url: ``https://…/v1/classify``. method: POST or PUT. query: appended to the url.
        headers: sent with each request. ``${NAME}`` in a value stands for the environment variable NAME; values are never
            shown or saved.
        key_header: the header that takes an idempotency key, such as ``Idempotency-Key``: the service answers a key that it
            knows again without charge. ``$key`` in the body does the same.

    **What is sent.**
        encode: ``"png"``, ``"jpeg"`` (``quality``), or ``"array"``: numbers, ``layout`` chw or hwc, from 0 to ``top_value``
            (1 or 255), as ``dtype`` float or uint8.
        send: ``"json"``: ``body``, any JSON, in which ``$image`` stands for the image (base64, or the array) wherever it
            occurs, also inside a text: ``data:image/png;base64,$image``; ``"multipart"``: a file in the field ``field``, with
            the texts of ``body`` beside it; ``"raw"``: the bytes of the file alone.
        rows_per_request: images a request. With several, the list in ``body`` that holds ``$image`` gets an element for each.

    **How the answer is read.** Paths are JMESPath (jmespath.org) into the JSON.
        each: path to a list with an answer for each image; needed for several images a request.
        label: path to the word of the predicted class.
        words, scores: paths to the words and their scores. ``scores`` alone: a list in the order of ``classes``, an object of
            word: score, or, with two classes, a single number, the score of ``positive``.
        rejected: path to what is true, or not empty, where the service refused an answer to this image. rejected_status: HTTP
            status that says the same of a request of one image, ``[403]``. Without these a refusal is an error.
        classes: the names of the classes in order, as the service says them, or a file with one a line.
        aliases: other words for classes, ``{"tabby cat" = "cat"}``. ignore_unknown: leave other words out.
        top: how many predictions the service lists, where it does not list all. fewer: it may list less than that.
        returns: what scores are: ``"probabilities"``, ``"percent"`` or ``"logits"``. Scores that sum to much more than one are
            taken for probabilities only where this says so. decimals: to which it rounds them.
        noise, randomised: as in `blackbox.targets.TargetInfo`.

    **How fast.**
        rate: requests at most, ``"10/s"``, ``"600/min"``. concurrency: requests under way at once.
        max_rows: of one call; by default eight requests for each of ``concurrency``. So many rows at most are in doubt after a
            kill.
        connect, read, total: seconds to wait for a connection, for the next bytes, for a whole answer.
        retries: how often a row is sent again after a cut connection, a timeout or a 5xx; ``wait`` seconds before the first,
            ``factor`` times as long before each other, ``longest`` at most. Other refusals (4xx) are not repeated.
        patience: seconds that a row waits in all while the service says that it is busy (429, or 503 with Retry-After).

    shape: of an image, checked before sending. name: for reports.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    url: str
    method: Literal["POST", "PUT"] = "POST"
    query: dict[str, str] = Field(default={}, repr=False)
    headers: dict[str, str] = Field(default={}, repr=False)
    key_header: str | None = None

    encode: Literal["png", "jpeg", "array"] = "png"
    quality: Annotated[int, Field(ge=1, le=100)] = 95
    layout: Literal["chw", "hwc"] = "hwc"
    top_value: Literal[1, 255] = 1
    dtype: Literal["float", "uint8"] = "float"
    send: Literal["json", "multipart", "raw"] = "json"
    body: Any = None
    field: str = "file"
    rows_per_request: Annotated[int, Field(ge=1)] = 1

    each: str | None = None
    label: str | None = None
    words: str | None = None
    scores: str | None = None
    rejected: str | None = None
    rejected_status: tuple[Annotated[int, Field(ge=400, le=599)], ...] = ()
    classes: Annotated[tuple[str, ...], BeforeValidator(_names), Field(min_length=2)]
    aliases: dict[str, str] = {}
    ignore_unknown: bool = False
    positive: str | None = None
    top: Annotated[int, Field(ge=1)] | None = None
    fewer: bool = False
    returns: Literal["probabilities", "percent", "logits"] = "probabilities"
    decimals: Annotated[int, Field(ge=0, le=12)] | None = None
    noise: Annotated[float, Field(ge=0)] = 0.0
    randomised: bool = False

    rate: Annotated[float | None, BeforeValidator(_rate), Field(gt=0)] = None
    concurrency: Annotated[int, Field(ge=1, le=256)] = 4
    max_rows: Annotated[int, Field(ge=1)] | None = None
    connect: Annotated[float, Field(gt=0)] = 10.0
    read: Annotated[float, Field(gt=0)] = 30.0
    total: Annotated[float, Field(gt=0)] = 60.0
    retries: Annotated[int, Field(ge=0)] = 4
    wait: Annotated[float, Field(ge=0)] = 0.5
    factor: Annotated[float, Field(ge=1)] = 2.0
    longest: Annotated[float, Field(ge=0)] = 30.0
    patience: Annotated[float, Field(ge=0)] = 300.0

    shape: tuple[int | None, ...] | None = None
    name: str | None = None

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ValueError(_sentence(error)) from None

    @classmethod
    def load(cls, path: str | os.PathLike[str], otherwise: Mapping[str, Any] | None = None, **more: Any) -> Self:
        """Read a TOML file; ``more`` replaces what it says, ``otherwise`` stands for what it leaves out. A file of ``classes``
        is looked for beside it.

        Raises:
            FileNotFoundError: no such file. ValueError: no TOML, or settings that cannot be; says all that is wrong.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"Expected the settings of a service at {path}, but there is no such file.")
        values = of_toml(path.read_bytes(), path)
        if "own_endpoint" in values:
            raise ValueError(
                f"Expected no own_endpoint in {path}: that an endpoint is yours is said where it is attacked, by --own-endpoint, "
                "own_endpoint=True, or in a study own_endpoint = true."
            )
        named = values.get("classes")
        if isinstance(named, str) and (path.parent / named).is_file():
            values["classes"] = str(path.parent / named)
        try:
            return cls(**{"name": path.stem, **(otherwise or {}), **values, **more})
        except ValueError as error:
            apart = "\n  " if "\n" in str(error) else " "
            raise ValueError(f"{error}{apart}(In {path}.)") from None

    @model_validator(mode="after")
    def _fit(self) -> Self:
        if "?" in self.url:
            where = self.url.partition("?")[0]
            raise ValueError(f"Expected a url without a query, but it was {where}?…. Put what follows the ? into query.")
        address(self.url, own_endpoint=True)  # its form; whose it is, the target asks
        if self.label is None and self.scores is None:
            raise ValueError(
                'Expected a path to the answer: label, or words and scores, such as words = "predictions[*].label" and '
                'scores = "predictions[*].score", but there was none.'
            )
        if self.words is not None and self.scores is None:
            raise ValueError("Expected scores with words; a service that names the class alone has label instead of words.")
        if len(set(self.classes)) < len(self.classes):
            twice = next(name for i, name in enumerate(self.classes) if name in self.classes[:i])
            raise ValueError(
                f"Expected classes that differ, but {twice!r} is there twice. Write it once: two classes of one word cannot be told apart."
            )
        for word in (*self.aliases.values(), *([self.positive] if self.positive else ())):
            if word not in self.classes:
                raise ValueError(f"Expected one of classes in aliases and positive, but there was {word!r}.")
        if self.top is not None and self.top > len(self.classes):
            raise ValueError(f"Expected top of at most {len(self.classes)}, the number of classes, but it was {self.top}.")
        if self.top is not None and self.returns == "logits":
            raise ValueError("Expected probabilities or percent with top, because nothing can stand for a missing logit.")
        if self.top is not None and self.scores is None:
            raise ValueError("Expected scores with top; a service that names classes alone has label instead.")
        if self.rejected_status and self.rows_per_request > 1:
            raise ValueError(
                f"Expected rejected_status with one image a request, since it says nothing of single ones, but rows_per_request is "
                f"{self.rows_per_request}. Give the path to a status of each image: rejected."
            )
        if self.rows_per_request > 1:
            self._fit_several()
        return self

    def _fit_several(self) -> None:
        if self.each is None:
            raise ValueError("Expected each, the path to the list of answers, with several rows_per_request, but there was none.")
        if self.send == "raw":
            raise ValueError('Expected rows_per_request = 1 with send = "raw", which sends one image alone.')
        if self.key_header is not None:
            raise ValueError("Expected rows_per_request = 1 with key_header, because a key stands for one image.")

    @property
    def eight_bit(self) -> bool:
        """Whether the service sees multiples of 1/255 only."""
        return self.encode != "array" or self.dtype == "uint8"

    def public(self) -> dict[str, Any]:
        """What may be saved: everything but the headers and the query, of which the names alone."""
        told = self.model_dump(mode="json", exclude={"headers", "query"})
        return {**told, "headers": sorted(self.headers), "query": sorted(self.query)}


class Hidden(dict[str, str]):
    """Headers with their secrets filled in; they do not show in a repr, a traceback or a log."""

    def __repr__(self) -> str:
        return f"<{len(self)} values, not shown>"

    __str__ = __repr__


def filled(values: Mapping[str, str], where: str) -> tuple[Hidden, list[str]]:
    """``values`` with ``${NAME}`` replaced from the environment, and the secrets in them.

    Raises:
        ValueError: a variable that is not set, or a value that no header can carry. Names the variable, never its value.
    """
    out, secrets = Hidden(), []
    for name, text in values.items():
        used = re.findall(r"\$\{(\w+)\}", text)
        for variable in used:
            if not os.environ.get(variable, "").strip():
                raise ValueError(
                    f"Expected the environment variable {variable}, which {where} {name} is made from, but it is not set. "
                    f"Set it before this command: export {variable}=…"
                )
        value = re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]].strip(), text)
        if not (value.isascii() and value.isprintable()):
            made = f" (from the environment variable {', '.join(used)})" if used else ""
            raise ValueError(f"Expected {where} {name} to hold printable ASCII letters{made}, but it has others.")
        out[name] = value
        secrets += [os.environ[variable].strip() for variable in used]
        if not used and len(value) >= 6:
            secrets += [value, value.rpartition(" ")[2]]
    return out, secrets


def _sentence(error: ValidationError) -> str:
    """All faults at once; the values of headers are not shown."""
    lines = []
    for fault in error.errors():
        steps = [str(step) for step in fault["loc"]]
        where = ".".join(steps)
        if fault["type"] == "extra_forbidden":
            near = difflib.get_close_matches(steps[-1], Settings.model_fields, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(Settings.model_fields)}."
            said = f"no such setting. {hint}"
        elif fault["type"] == "missing":
            said = "Expected this setting, but it is missing."
        else:
            said = fault["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            if not said.startswith("Expected"):
                came = "" if steps[:1] in (["headers"], ["query"]) else f", but it was {fault['input']!r}"
                said = f"Expected {said}{came}."
        lines.append(f"{where}: {said}" if where else said)
    if len(lines) == 1 and lines[0].startswith("Expected"):
        return lines[0]
    count = "is 1 fault" if len(lines) == 1 else f"are {len(lines)} faults"
    return f"Expected the settings of a service, but there {count}:\n  " + "\n  ".join(lines)
