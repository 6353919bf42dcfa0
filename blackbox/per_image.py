"""`PerImage`: an attack written for one image and a torch model that it may ask, as other toolkits' attacks are.

Each image's search runs in a thread of its own, by turns (`blackbox.turns`). What they ask about in a round goes to the engine as one
`Ask`, a point an image; a search that asks about several points at once waits until all are answered. So the engine counts, projects,
judges and stops as it does with every attack, and what a search does depends on the run's seed and the image's id alone.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from blackbox.protocol import Ask, Attack, Retire, Status, Steps, Task
from blackbox.threat import Threat
from blackbox.turns import Question, Turn, seed_all

__all__ = ["Job", "PerImage"]


@dataclass(frozen=True)
class Job:
    """What a search is told beside its image.

    Attributes:
        threat: norm and radius. budget: the most queries, the clean check among them.
        seed: of this image's search, 0 to 2**31 - 1; the global generators have it already.
        classes: how many columns an answer has. targeted: the class is one to reach.
        start: [1, \\*shape] an image to start from, given by the user, or None.
    """

    threat: Threat
    budget: int
    seed: int
    classes: int
    targeted: bool = False
    start: Tensor | None = None


class _Answer(torch.autograd.Function):
    """The answer to points that require gradients: as of any model it requires them too, but says that there are none."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, answer: Tensor) -> Tensor:  # type: ignore[override]
        return answer.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:  # type: ignore[override]
        raise RuntimeError(
            "Expected a search without gradients, but it asked for one through the model. A model behind queries only answers: estimate "
            "the gradient from its answers, or take it of a surrogate."
        )


class Model(nn.Module):
    """What a search asks: images [m, \\*shape] in, logits [m, classes] out, without gradients."""

    def __init__(self, ask: Question) -> None:
        super().__init__()
        self.ask = ask
        self.here = nn.Parameter(torch.zeros(()), requires_grad=False)  # toolkits look for a parameter to learn the device

    def forward(self, z: Tensor) -> Tensor:
        answer = self.ask(z)
        return _Answer.apply(z, answer) if z.requires_grad else answer  # type: ignore[no-untyped-call, no-any-return]


class PerImage(Attack):
    """Base class of attacks that search for one image at a time by asking a torch model: write `search`.

    A row that is asked is a query, also one that was asked before; only the clean image's own answer, which is paid for already, is given
    once for nothing. Rows are projected into the threat before they are answered, or where the attack ``minimises`` only clipped to the
    box. Searches and their draws are on the CPU, wherever the target is. A search is the same in every run with the seed where it draws
    from the global generators of Python, numpy and torch, or from ``np.random.RandomState()`` or ``np.random.default_rng()`` written so;
    not where it makes another without a seed, or by a name imported from ``numpy.random`` beforehand: give those ``job.seed``.

    A search that ends gives up its image; one that raises does too, and a warning names the image. One that raises before its first
    query ends the run. It asks from its own thread, several points in one batch. The whole is one step: a
    checkpoint holds every answer and a killed run replays them; images cannot share one budget.

    Attributes:
        remember: points that were asked about before are answered from memory and are no queries.
    """

    informed: ClassVar[bool] = True
    one_step: ClassVar[bool] = True
    remember: ClassVar[bool] = False

    def search(self, model: nn.Module, x: Tensor, y: Tensor, job: Job) -> object:
        """Search for an example of one image; what is returned is not looked at.

        Args:
            model: images [m, \\*shape] -> logits [m, classes], on the CPU: logits, logarithms of probabilities, or of labels alone 0 for
                the predicted class; classes that the target does not show are lower than all that it shows. No gradients.
            x: [1, \\*shape] the clean image. y: [1] its class, or the class to reach.
        """
        raise NotImplementedError

    def init(self, t: Task) -> Steps[Retire]:
        """Run all searches to their ends."""
        if t.shown0 is None or t.goal is None:
            raise ValueError("Expected a task with the answers to the clean images, shown0, but it had none. Run it by blackbox.attack.")
        images = [_Image(self, t, i) for i in range(t.n)]
        live = list(range(t.n))
        try:
            while True:
                asks = {i: row for i in live if (row := images[i].next()) is not None}
                if not (live := list(asks)):
                    return Retire((), torch.ones(t.n, dtype=torch.bool), Status.GAVE_UP)
                x, mask = t.x0.clone(), torch.zeros(t.n, dtype=torch.bool)
                x[live], mask[live] = torch.stack(list(asks.values())).to(x.device), True
                tell = yield Ask(x, mask=mask)
                paid, shown = tell.paid.tolist(), tell.shown.cpu()
                for i in live:
                    if paid[i]:
                        images[i].hear(shown[i])
                    else:  # fooled, or its budget is spent
                        images[i].turn.stop()
                live = [i for i in live if paid[i]]
        finally:
            for image in images:
                image.turn.stop()

    def step(self, t: Task, s: object, k: int) -> None:
        """There is none after `init`."""


class _Image:
    """The search of one image: what it has asked about, and the answers so far."""

    def __init__(self, attack: PerImage, t: Task, i: int) -> None:
        assert t.shown0 is not None and t.goal is not None
        self.name, self.id, self.remember, self.queries = type(attack).__qualname__, int(t.ids[i]), attack.remember, 0
        self.x, y = t.x0[i : i + 1].cpu(), t.goal[i : i + 1].cpu()
        self.clean = _logits(t.shown0[i].cpu(), None)
        self.known = {self.x[0].numpy().tobytes(): self.clean}
        u = (t.rng.uniform(0, "search", 2)[i].double().cpu() * 2**15).long().tolist()
        job = Job(t.threat, t.budget, u[0] << 15 | u[1], len(self.clean), t.targeted, None if t.start is None else t.start[i : i + 1].cpu())
        self.asked, self.told = self.x[:0], list[Tensor]()

        def work(ask: Question) -> None:
            seed_all(job.seed)
            attack.search(Model(lambda z: ask(self._checked(z))).eval(), self.x.clone(), y, job)

        self.turn = Turn(work)

    def next(self) -> Tensor | None:
        """The next point that has to be asked about, [\\*shape]; None: the search has ended."""
        while True:
            while len(self.told) < len(self.asked):
                row = self.asked[len(self.told)]
                key = row.numpy().tobytes()
                if (answer := self.known.get(key) if self.remember else self.known.pop(key, None)) is None:
                    return row
                self.told.append(answer)
            asked = self.turn.resume(torch.stack(self.told) if self.told else self.clean[None][:0])
            if asked is None:
                self._ended(self.turn.error)
                return None
            self.asked, self.told = asked, []

    def hear(self, shown: Tensor) -> None:
        """What the target showed of that point, [classes]."""
        self.queries += 1
        answer = _logits(shown, self.clean)
        if self.remember:
            self.known[self.asked[len(self.told)].numpy().tobytes()] = answer
        self.told.append(answer)

    def _checked(self, z: Tensor) -> Tensor:
        """What a search asks about, as a batch of its own; where it is none, the search has the error."""
        if not isinstance(z, Tensor) or z.shape[1:] != self.x.shape[1:]:
            shape = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise ValueError(
                f"Expected {self.name} to ask about images [m, {', '.join(map(str, self.x.shape[1:]))}], but for image {self.id} it was "
                f"{shape}. Have it give its model what search is given: a batch."
            )
        z = z.detach().to("cpu", torch.float32).contiguous().clone()
        if not z.isfinite().all():
            raise ValueError(f"Expected {self.name} to ask about finite points, but for image {self.id} one holds NaN or is infinite.")
        return z

    def _ended(self, error: BaseException | None) -> None:
        if error is None:
            return
        if not isinstance(error, Exception):  # the search called exit()
            raise error
        said = f"{type(error).__name__}: {' '.join(str(error).split()):.300}"
        if "does not require grad" in said:  # torch's, where the points did not require gradients either
            said += " (A model behind queries gives no gradients.)"
        if not self.queries:
            raise RuntimeError(
                f"Expected {self.name} to search for an example of image {self.id}, but before its first query it raised {said}"
            ) from error
        warnings.warn(
            f"Expected {self.name} to search to its end, but for image {self.id} it raised {said} after {self.queries} queries. The image "
            "counts as not fooled; the others go on.",
            stacklevel=2,
        )


def _logits(shown: Tensor, clean: Tensor | None) -> Tensor:
    """What is shown of a point, [classes], without gaps: a class that is not shown is lower than all that are; of a point that the target
    rejected nothing is known but that of the clean image."""
    hidden = shown.isnan()
    if clean is not None and hidden.all():
        return clean
    return torch.where(hidden, shown[~hidden].min() - 1, shown)
