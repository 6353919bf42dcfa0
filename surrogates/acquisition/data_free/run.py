"""`Run`: one copying of a target without data, and its state: what is left, what was answered, the generator."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

from blackbox.oracle.oracle import Oracle
from blackbox.rng import Stream
from blackbox.targets.outputs import scores_of
from surrogates.acquisition.data_free.collapse import Watch
from surrogates.acquisition.data_free.generator import Generator
from surrogates.acquisition.data_free.losses import taught
from surrogates.acquisition.data_free.methods import DataFree
from surrogates.acquisition.pools import procedural
from surrogates.data.answers import Answers, ask_all
from surrogates.nets.predict import place

Make = Callable[[int], nn.Module]


class Run:
    """One run and its state, which a method sees.

    Attributes:
        net, oracle, device: the copy, the target, where the copy is.
        left: queries. estimates: queries charged under "estimate". step: of the generator.
        generator: made anew when it collapses; ``lost`` after the second time.
    """

    def __init__(
        self, net: nn.Module, oracle: Oracle, method: DataFree, shape: tuple[int, ...], queries: int, topk: str, seed: int,
        make: Make | None,
    ) -> None:  # fmt: skip
        self.net, self.oracle, self.method, self.shape, self.topk, self.seed = net, oracle, method, shape, topk, seed
        self.left, self.estimates, self.step, self.drawn = queries, 0, 0, 0
        self.device, _ = place(net)
        self.soon = max(queries // 4, 2)  # so that two generators leave half of the budget (ours)
        self.asked: list[Answers] = []
        self.rng = Stream(seed, np.arange(1, dtype=np.uint64))
        self.make = make or (lambda first: Generator(shape, method.latent, method.width, first))
        self.collapses, self.notes = 0, list[str]()
        self.teacher = torch.optim.Adam([p for p in net.parameters() if p.requires_grad], method.copy_lr)
        self._start(seed)

    def _start(self, seed: int) -> None:
        self.generator = self.make(seed).to(self.device).train()
        weights = list(self.generator.parameters()) or [nn.Parameter(torch.zeros(1))]
        self.artist, self.watch = torch.optim.Adam(weights, self.method.generator_lr, betas=(0.5, 0.999)), Watch(self.soon)

    @property
    def lost(self) -> bool:
        """Whether two generators have collapsed."""
        return self.collapses > 1

    def rows(self, count: int) -> Stream:
        """A stream with a row for each image of a batch."""
        return Stream(self.seed, np.arange(count, dtype=np.uint64))

    def so_far(self) -> Answers:
        """All answers to learn from."""
        if not self.asked:
            return Answers(torch.empty(0, *self.shape), torch.zeros(0, dtype=torch.int64), None, np.zeros(0, np.int64), self.oracle.classes)
        return self.asked[0].join(*self.asked[1:])

    def ask(self, x: Tensor, purpose: str = "train") -> Answers:
        """Query images [n, C, H, W], as many as the budget allows; of the answers the index names the rows of ``x``.

        Raises: TargetError, with ``error.result`` the answers to learn from so far."""
        x = x[: self.left].cpu()
        try:
            got = ask_all(self.oracle, x, np.arange(len(x)), (), purpose, self.topk)
        except BaseException as error:
            part = getattr(error, "result", None)
            if purpose == "train" and isinstance(part, Answers):
                self._keep(part)
            error.result = self.so_far()  # type: ignore[attr-defined]
            raise
        self.left -= len(x)
        if purpose == "train":
            self._keep(got)
        else:
            self.estimates += len(x)
        return got

    def _keep(self, got: Answers) -> None:
        self.asked.append(Answers(got.images, got.labels, got.probabilities, np.full(len(got), -1), got.classes, (), got.rejected))

    def images(self) -> Tensor:
        """A batch of the generator's images, with a gradient; dead leaves where it is lost."""
        self.drawn += 1
        if self.lost:
            count = self.method.batch
            return procedural(self.shape, count, "dead leaves", self.seed, self.drawn * count).images.to(self.device)
        z = self.rng.shared_normal(self.drawn, "latent", (self.method.batch, self.method.latent))
        return self.generator(z.to(self.device))  # type: ignore[no-any-return]

    def round(self) -> None:
        """Steps of the generator, then of the copy on new images, then of the copy on earlier ones; each within the budget."""
        for _ in range(self.method.generator_steps):
            if not self.lost and self.left > self.method.cost(self.shape):
                self.step += 1
                goal = self.method.move(self, self.images())
                if goal is not None:
                    self.artist.zero_grad(set_to_none=True)
                    (-goal).backward()
                    self.artist.step()
        for _ in range(self.method.copy_steps):
            if not self.left:
                break
            x = self.images().detach()
            told = self.ask(x if self.lost else self.method.query(self, x))
            self._learn(self.asked[-1])
            self._look(x, told)
        for i in range(self.method.replay):
            u = float(self.rng.uniform_array(self.drawn, f"replay {i}", 1)[0, 0])
            self._learn(self.asked[int(u * len(self.asked))])

    def _learn(self, told: Answers) -> None:
        if len(told) < 2:  # a batch norm cannot learn from one
            return
        soft = None if told.probabilities is None else told.probabilities.to(self.device)
        self.net.train()
        loss = taught(self.method.copies, scores_of(self.net(told.images.to(self.device))), told.labels.to(self.device), soft)
        self.teacher.zero_grad(set_to_none=True)
        loss.backward()
        self.teacher.step()
        self.net.eval()

    def _look(self, x: Tensor, told: Answers) -> None:
        """Notice a collapse; the first time make the generator anew, the second time give it up."""
        if self.lost:
            if len(torch.cat([each.labels for each in self.asked]).unique()) == 1:
                raise one_class(self.so_far())
            return
        if not (why := self.watch.see(x, told.labels)):
            return
        self.collapses += 1
        then = "the rest of the budget is spent on dead leaves" if self.lost else "it is made anew, once"
        queries = sum(each.paid for each in self.asked) + self.estimates
        self.notes.append(f"The generator collapsed after {queries:,} queries: {why}; {then}.")
        warnings.warn(self.notes[-1], stacklevel=4)
        if not self.lost:
            self._start(self.seed + 1)


def one_class(answers: Answers) -> ValueError:
    """The error for a target that names one class only; it holds the answers."""
    error = ValueError(
        f"Expected a target that tells classes apart, but it gave all {len(answers)} images class {int(answers.labels[0])}, those of two "
        "generators and dead leaves among them. Give images of its kind: surrogates.learn."
    )
    error.answers = answers  # type: ignore[attr-defined]  # they were paid for
    return error
