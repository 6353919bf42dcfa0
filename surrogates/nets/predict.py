"""A net's scores and labels, computed in pieces of a fixed size; accuracy; fidelity, the agreement with a target."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from blackbox.checks import as_images, as_labels
from blackbox.oracle.oracle import Oracle, Reply
from blackbox.statistics import Rate
from blackbox.targets.answer import recognise
from blackbox.targets.outputs import scores_of
from surrogates.data.dataset import Dataset, as_dataset, images_of
from surrogates.nets.architectures import Normalised


@contextmanager
def frozen(nets: Sequence[nn.Module]) -> Iterator[None]:
    """Put the nets in eval mode without parameter gradients; everything is restored at the end."""
    training = [(part, part.training) for net in nets for part in net.modules()]
    wanted = [p for net in nets for p in net.parameters() if p.requires_grad]
    for net in nets:
        net.eval()
    for p in wanted:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in wanted:
            p.requires_grad_(True)
        for part, mode in training:
            part.training = mode


def place(net: nn.Module) -> tuple[torch.device, torch.dtype]:
    """The device and the floating-point type of a net."""
    for value in chain(net.parameters(), net.buffers()):  # lazily: it is asked at each call
        if value.is_floating_point():
            return value.device, value.dtype
    return torch.device("cpu"), torch.float32


def chunk_rows(shape: tuple[int, ...], device: torch.device) -> int:
    """The number of images a call, a function of their shape and the device alone.

    About 100,000 numbers on a CPU (chosen by `benchmarks --only craft`, and small enough to bound memory), 64 times that on
    an accelerator; at most 256 (4,096) images.
    """
    big = device.type != "cpu"
    rows = (100_000 * (64 if big else 1)) // max(math.prod(shape), 1)
    power = 1 << max(rows, 1).bit_length() - 1
    return max(4, min(power, 4096 if big else 256))


def pieces(count: int, chunk: int) -> Iterator[tuple[slice, Tensor | None]]:
    """Cut ``count`` rows into pieces of exactly ``chunk``: (slice of rows, index that pads the last piece).

    Kernels choose their order of additions by the number of rows, so the last bit of a row's result may depend on the size
    of the batch, and a sign step turns that into a whole step. A fixed number of rows avoids this. On some AMD processors
    MKL's products also depend on the memory alignment of a row; ``MKL_CBWR=AVX2`` prevents that.
    """
    for start in range(0, count, chunk):
        stop = min(start + chunk, count)
        fill = None
        if stop - start < chunk:
            fill = torch.arange(start, start + chunk).clamp_max(stop - 1)
        yield slice(start, stop), fill


def cut(values: Tensor, where: slice, fill: Tensor | None) -> Tensor:
    """The rows of a piece."""
    return values[where] if fill is None else values[fill.to(values.device)]


def piecewise(f: Callable[..., Tensor], chunk: int, *values: Tensor) -> Tensor:
    """Apply ``f`` to pieces of exactly ``chunk`` rows of all ``values`` [N, ...], and join the results [N, ...]."""
    out = []
    for where, fill in pieces(len(values[0]), chunk):
        out.append(f(*(cut(v, where, fill) for v in values))[: where.stop - where.start])
    return torch.cat(out)


def check_scores(scores: Tensor) -> Tensor:
    """Check that scores [N, C] hold no NaN, and return them. Raises: ValueError, naming the first such sample."""
    if bool((bad := scores.isnan().any(1)).any()):
        raise ValueError(
            f"Expected finite scores, but the net answered NaN for sample {int(bad.nonzero()[0])}. Was it trained?"
        )
    return scores


def class_count(net: nn.Module, x: Tensor, name: str = "the net", gradients: bool = False) -> int:
    """Find the number of classes of ``net`` with the first image of ``x`` [N, \\*shape].

    gradients: also check that gradients can be taken, and warn of answers that are probabilities.

    Raises:
        ValueError: the net does not take such images, or was built for others, or does not return one score a class; or, where
            gradients are wanted, it writes into the images, or lets no gradient pass.
    """
    out = first_output(net, x, name, gradients, scores_of)
    if not isinstance(out, Tensor) or out.ndim != 2 or len(out) != 1 or out.shape[1] < 2:
        came = f"shape {tuple(out.shape)}" if isinstance(out, Tensor) else type(out).__name__
        raise ValueError(
            f"Expected {name} to answer an image with one score a class, shape [1, classes], but it gave {came}."
        )
    if gradients:
        if not out.requires_grad:
            raise no_gradient(net)
        _warn_of_probabilities(net, x, out.detach(), name)
    return out.shape[1]


def first_output(
    net: nn.Module, x: Tensor, name: str, gradients: bool, read: Callable[[Any, str], Any] = lambda out, name: out
) -> Any:
    """What ``net`` returns for the first image of ``x``, read by ``read``. Raises as `class_count` does, of the images alone."""
    shape = tuple(x.shape[1:])
    expects = net.shape if isinstance(net, Normalised) else None
    if expects and expects != shape:
        channels = len(shape) == len(expects) and expects[0] != shape[0]
        wanted = f"with {expects[0]} channels" if channels else f"of shape {expects}"
        came = f"{shape[0]} (shape {shape})" if channels else f"shape {shape}"
        raise ValueError(
            f"Expected images {wanted} for {name}, but they had {came}. Build the net with shape={shape}, or convert the "
            "images."
        )
    device, dtype = place(net)
    try:
        with frozen([net]), torch.set_grad_enabled(gradients):
            given = x[:1].to(device, dtype, copy=True)  # a copy, since a net may normalise in place
            if gradients:
                given = given.requires_grad_().clone()  # a leaf cannot be normalised in place
            out = read(net(given), name)
    except (Exception, SystemExit) as error:
        if str(error).startswith("Expected"):
            raise
        raise ValueError(
            f"Expected images that {name} takes, but on images of shape {shape} it raised {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else ''}."
        ) from error
    if gradients and given._version:
        raise ValueError(
            f"Expected {name} not to modify its input, so that gradients can be taken, but it writes into it. Give it "
            "a copy: x - mean in place of x.sub_(mean)."
        )
    return out


def no_gradient(*nets: nn.Module) -> ValueError:
    """The error for nets that let no gradient pass from their scores to the image."""
    named = " or ".join(dict.fromkeys(type(net.net if isinstance(net, Normalised) else net).__name__ for net in nets))
    return ValueError(
        f"Expected nets that gradients can be taken through, but none passes through {named}: is its forward under torch.no_grad, "
        "or does it go through numpy or .detach()? Take that out, or train a surrogate from its answers: surrogates.train(teacher=…)."
    )


def _warn_of_probabilities(net: nn.Module, x: Tensor, out: Tensor, name: str) -> None:
    """Warn where the answers to a few images are all probabilities; ``out``: that to the first."""
    if not recognise(out).probable:
        return
    device, dtype = place(net)
    with frozen([net]), torch.no_grad():
        few = scores_of(net(x[:8].to(device, dtype, copy=True)), name)
    if (reading := recognise(few)).probable:
        warnings.warn(
            f"The answers of {name} are probabilities ({reading.why.removeprefix('recognised: ')}), and are taken for logits: the gradient "
            "vanishes where it is confident. Give it without its softmax.",
            stacklevel=4,
        )


def logits(net: nn.Module, x: Any, chunk: int | None = None) -> Tensor:
    """The net's scores [N, C] float32 on the CPU for images [N, \\*shape] in [0, 1]; no gradient, eval mode.

    Raises:
        ValueError: images that the net does not take, or scores that are NaN (says for which sample).
    """
    images = as_images(x, "x")
    class_count(net, images)
    device, dtype = place(net)
    size = chunk or chunk_rows(tuple(images.shape[1:]), device)
    with frozen([net]), torch.no_grad():
        return check_scores(piecewise(lambda part: scores_of(net(part.to(device, dtype, copy=True))).float().cpu(), size, images))


def predict(net: nn.Module, x: Any, chunk: int | None = None) -> Tensor:
    """The net's labels [N] int64 for images [N, \\*shape] in [0, 1]. Raises as `logits` does."""
    return logits(net, x, chunk).argmax(1)


def predict_together(nets: Sequence[nn.Module], x: Any) -> Tensor:
    """The labels [N] int64 that several nets give by the mean of their scores. Raises as `logits` does."""
    total = logits(nets[0], x)
    for net in nets[1:]:
        total = total + logits(net, x)
    return total.argmax(1)


def accuracy(net: nn.Module, data: Dataset | tuple[Any, Any]) -> Rate:
    """The net's accuracy on ``data``, a Dataset or a pair (images, labels)."""
    if not isinstance(data, Dataset):
        images = as_images(data[0], "images")
        data = as_dataset((images, data[1]), class_count(net, images))
    scores = logits(net, data.images)
    return Rate.of((scores.argmax(1) == as_labels(data.labels, len(data), scores.shape[1])).numpy())


def fidelity(net: nn.Module, oracle: Oracle, images: Any, purpose: str = "fidelity") -> Rate:
    """The share of images [N, \\*shape] on which the net predicts the target's class (fidelity; Jagielski et al. 2020,
    arXiv:1909.01838).

    Costs one query an image, charged under ``purpose``. Nothing here or in `train` uses it for a choice.

    Raises:
        ValueError: images that the net or the oracle does not take. TargetError: the target failed; ``error.result`` is the
            Rate of the images that it answered, the others unknown.
    """
    x = images_of(images, "images")
    own, named = predict(net, x), torch.full((len(x),), -1)

    def rate() -> Rate:
        return Rate.of((own == named).numpy(), known=(named >= 0).numpy())

    try:
        named[:] = oracle(x, purpose=purpose).label.cpu()
    except BaseException as error:
        if isinstance(part := getattr(error, "result", None), Reply):
            named[: len(part.label)] = part.label.cpu()
        error.result = rate()  # type: ignore[attr-defined]
        raise
    return rate()
