"""The parts of an evaluation: clean images, noise, transfer, a search for each access level and budget, the ceiling."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from blackbox import prior as priors
from blackbox.adopted import as_attack
from blackbox.attacks import build, get, name_of, takes_prior
from blackbox.checkpoint import fingerprint
from blackbox.engine import Progress
from blackbox.evaluation.benign import benign
from blackbox.evaluation.knowing import adapted
from blackbox.evaluation.rows import Evaluation
from blackbox.oracle.kept import Kept
from blackbox.oracle.oracle import Oracle, Reply, TargetError
from blackbox.plugins import short
from blackbox.protocol import Attack
from blackbox.results.ended import why
from blackbox.run import attack

CEILING_STEPS = 50  # of each attack of the white-box ensemble
CLEAN, NOISE = "none (clean images)", "random noise, same Linf"


def ceiling_row(settings: Mapping[str, int]) -> str:
    """The name of the ensemble in the rows."""
    from surrogates.crafting.ceiling import title

    return title(**settings)


def flags_of_oracle(oracle: Oracle) -> np.ndarray:
    """What its detector flagged so far."""
    return np.zeros(0, np.bool_) if oracle.flags is None else oracle.flags


def called(search: str | Attack) -> str:
    """The name of an attack in the rows."""
    return short(search) if isinstance(search, str) else name_of(search)


@dataclass
class Parts:
    """The parts of an evaluation. Each fills its rows with what is known; a target that fails ends it alone."""

    found: Evaluation
    oracle: Callable[[str], Oracle]
    plain: Oracle
    images: Tensor
    labels: Tensor
    kept: Kept
    saved: Callable[[Evaluation], Any] | None
    attack: str | Attack = "auto"

    @property
    def wrong(self) -> np.ndarray:
        """[N] bool: the clean images that the target gets wrong."""
        return self.found.rows[0].wrong

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        try:
            yield
        except TargetError as error:
            self.found.failures[name] = why(error)["message"]
        finally:
            if self.saved is not None:
                self.saved(self.found)

    def ask(self, name: str, x: Tensor, row: str, sees: str, wrong: np.ndarray | None = None) -> None:
        """Fill a row with what the target says of images ``x``; those ``wrong`` [N] are wrong whatever it says. After an error
        the row has what was answered before it."""
        named = np.full(len(self.labels), -1)
        try:
            with self.kept.calls(self.plain, name, images=fingerprint(x, self.labels, self.found.ids)):
                reply = self.plain(x, "evaluate")
                named[:] = reply.label.numpy(force=True)
        except BaseException as error:
            if isinstance(part := getattr(error, "result", None), Reply):
                named[: len(part.label)] = part.label.numpy(force=True)
            raise
        finally:
            said = (named >= 0) & (named != self.found.labels)
            self.found.put(sees, row, said if wrong is None else said | wrong, named < 0, queries=int((named >= 0).sum()))

    def clean(self) -> bool:
        """The clean images; whether all are answered, so that the rest can go on."""
        with self.part("clean"):
            self.ask("clean", self.images, CLEAN, "nothing")
        return "clean" not in self.found.failures

    def noise(self) -> None:
        """Noise of the same size, for Linf."""
        from surrogates.transfer.noise import uniform_noise

        found = self.found
        if found.threat.norm == "Linf":
            noisy = uniform_noise(self.images, found.threat, found.seed, found.ids)
            with self.part("noise"):
                self.ask("noise", noisy, NOISE, "nothing")

    def ceiling(self, white_box: nn.Module, settings: Mapping[str, int]) -> None:
        """The white-box ensemble on the target itself, which is asked after each attack about the images that still stand."""
        from surrogates.crafting.ceiling import against

        found, wrong, spent, done = self.found, self.wrong.copy(), 0, None

        def judge(made: Tensor, rows: Tensor) -> Tensor:
            nonlocal spent
            at, named = rows.numpy(), np.full(len(rows), -1)
            try:
                named[:] = self.plain(made, "evaluate").label.numpy(force=True)
            except BaseException as error:
                if isinstance(part := getattr(error, "result", None), Reply):
                    named[: len(part.label)] = part.label.numpy(force=True)
                raise
            finally:
                spent += int((named >= 0).sum())
                wrong[at] |= (named >= 0) & (named != found.labels[at])
            return torch.from_numpy(wrong[at])

        with self.part("ceiling"):
            try:
                of = fingerprint(self.images, self.labels, found.ids)
                with self.kept.calls(self.plain, "ceiling", images=of, **settings):
                    done = against(
                        white_box, self.images, self.labels, found.threat, torch.from_numpy(self.wrong), judge, seed=found.seed,
                        ids=found.ids, **settings,
                    )  # fmt: skip
                found.white_box = done.told()
            finally:
                unknown = ~wrong if done is None else np.zeros(len(wrong), bool)
                found.put("everything", ceiling_row(settings), wrong, unknown, queries=spent)

    def transfer(self, nets: Mapping[str, nn.Module], presets: Sequence[str]) -> None:
        """A row for each net and preset: what is crafted on the net fools the target."""
        import surrogates as sg

        found = self.found
        m: sg.TransferMatrix | None = None
        with self.part("transfer"):
            try:
                with self.kept.calls(self.plain, "transfer", images=fingerprint(self.images, self.labels, found.ids)):
                    m = sg.transfer_matrix(
                        nets, {"target": self.plain}, self.images, self.labels, list(presets), [found.threat], seed=found.seed,
                        ids=found.ids, noise=False,
                    )  # fmt: skip
            except BaseException as error:
                m = part if isinstance(part := getattr(error, "result", None), sg.TransferMatrix) else None
                raise
            finally:
                if m is not None:
                    found.matrix = m
                    for s, source in enumerate(m.sources):
                        for a, name in enumerate(m.attacks):
                            named = m.adv_target[s, a, 0, 0]
                            wrong = ((named >= 0) & (named != found.labels)) | self.wrong
                            found.put("nothing", f"{name} from {source}", wrong, named < 0, queries=int((named >= 0).sum()))

    def knowing(self, known: priors.Prior | None) -> Attack | None:
        """The attack as one that knows the defences; None, with a note, where there is none."""
        defences = self.plain.defences
        search = self.attack
        if isinstance(search, str):
            search = build(search, prior=known) if known is not None and takes_prior(get(search)) else build(search)
        try:
            found = adapted(as_attack(search), defences)
            why_not = "no adaptive attacker of it is known here"
        except (TypeError, ValueError) as error:
            found, why_not = None, str(error).rstrip(".")
        if found is None:
            self.found.notes.append(f"{' and '.join(defences)}: {why_not}; the rows show what stops one who does not know it.")
        return found

    def alarms(self) -> None:
        """What a detector flags of benign queries, each stream on a fresh one."""
        for stream, images in benign(self.images, self.found.seed, self.found.ids).items():
            oracle = self.oracle("labels")
            if len(flags_of_oracle(oracle)):
                self.found.notes.append(
                    "the detector remembers other parts of this evaluation, so that its false alarms are not shown, and later rows had "
                    "more flags: give a fresh detector at each call, lambda access: blackbox.Oracle(Blacklight(model), access, classes)."
                )
                return
            try:
                oracle(images, "evaluate")
            except TargetError as error:  # accounts that are locked by benign queries, say: what was flagged until then is told
                self.found.notes.append(f"{stream}: {error}")
            flags = flags_of_oracle(oracle)
            self.found.alarms[stream] = (int(flags.sum()), len(flags))

    def queries(
        self, level: str, budgets: Sequence[int], known: priors.Prior | None,
        progress: Callable[[str], Callable[[Progress], None] | None] | None, knowing: Attack | None = None,
    ) -> None:  # fmt: skip
        """A row for each budget: what the attack fools at an access level, on the images that smaller budgets had left standing.

        knowing: the same attack, which knows the defences (`adaptive`), instead.
        """
        found, wrong, spent = self.found, self.wrong.copy(), 0
        search, known = self.attack, known if isinstance(self.attack, str) and takes_prior(get(self.attack)) else None
        title, sees = called(search), level if knowing is None else f"{level}, adaptive"
        search, known = (search, known) if knowing is None else (knowing, None)
        for budget in budgets:
            name, left = f"{sees}-{budget}", np.flatnonzero(~wrong)
            unknown, result = np.zeros(len(wrong), bool), None
            if name_of_failed := next((n for n in found.failures if n.startswith(f"{sees}-")), None):
                found.failures[name] = f"not begun, because {name_of_failed} is incomplete"
                found.put(sees, title, wrong.copy(), ~wrong, budget, spent)
                continue
            with self.part(name):
                try:
                    if len(left):
                        result = attack(
                            self.oracle(level), self.images[left], self.labels[left], search, found.threat, budget,
                            seed=found.seed, ids=found.ids[left], prior=known, **self.kept.of(name),
                            progress=progress(f"{sees}, {budget:,}") if progress else None,
                        )  # fmt: skip
                    else:
                        found.notes.append(f"{sees}: nothing was left to attack with {budget:,} queries.")
                except BaseException as error:
                    result = getattr(error, "result", None)
                    unknown[left] = True
                    raise
                finally:
                    if result is not None:
                        found.results[sees, budget] = result
                        wrong[left[((result.success | ~result.attacked) & result.known).numpy()]] = True
                        unknown[left] = ~result.known.numpy()
                        spent += int(result.queries.sum())
                        if unseen := int((result.success & (result.verified < 0)).sum()):
                            found.notes.append(
                                f"{sees}, {budget:,} queries: {unseen} examples could not be verified, because the target failed, or "
                                "the run was stopped, before."
                            )
                    found.put(sees, title, wrong.copy(), unknown, budget, spent)
