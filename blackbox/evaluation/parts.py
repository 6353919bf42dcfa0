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
from blackbox.evaluation.benign import DIFFERENT, benign
from blackbox.evaluation.judged import Judged
from blackbox.evaluation.knowing import adapted
from blackbox.evaluation.rows import Evaluation
from blackbox.oracle.calls import in_calls
from blackbox.oracle.kept import Kept
from blackbox.oracle.oracle import Oracle, Reply, TargetError
from blackbox.plugins import short
from blackbox.protocol import Attack
from blackbox.results.ended import why
from blackbox.run import attack
from blackbox.tariff import Tariff

CEILING_STEPS = 50  # of each attack of the white-box ensemble
CLEAN, NOISE = "none (clean images)", "random noise, same Linf"


def ceiling_row(settings: Mapping[str, int]) -> str:
    """The name of the ensemble in the rows."""
    from surrogates.crafting.ceiling import title

    return title(**settings)


def goal_row(settings: Mapping[str, int]) -> str:
    """The name of the white-box row of a goal."""
    return f"PGD on the goal, {settings['steps']} steps"


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
    given: Judged
    kept: Kept
    saved: Callable[[Evaluation], Any] | None
    attack: str | Attack = "auto"
    level: str = "labels"  # that `plain` shows
    tariff: Tariff | None = None

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
        """Fill a row with what the target says of inputs ``x``; those ``wrong`` [N] are wrong whatever it says. After an error
        the row has what was answered before it."""
        count = len(self.given.z)
        said, known = np.zeros(count, bool), np.zeros(count, bool)

        def take(reply: Reply) -> None:
            n = len(reply.label)
            said[:n], known[:n] = self.given.wrong(reply, np.arange(n))

        try:
            with self.kept.calls(self.plain, name, **{**self.given.identity(), "images": self._print(x)}):
                self._taken(x, take)
        finally:
            self.found.put(sees, row, said if wrong is None else said | wrong, ~known, queries=int(known.sum()))

    def _taken(self, x: Tensor, take: Callable[[Reply], None]) -> None:
        """Hand to ``take`` what the target says of inputs; after an error what it said of the first of them."""
        try:
            reply = in_calls(self.plain, x, "evaluate")
        except BaseException as error:
            if isinstance(part := getattr(error, "result", None), Reply):
                take(part)
            raise
        take(reply)

    def _print(self, x: Tensor) -> str:
        return fingerprint(x, self.given.labels, self.given.ids)

    def clean(self) -> bool:
        """The clean images; whether all are answered, so that the rest can go on."""
        with self.part("clean"):
            self.ask("clean", self.given.x, CLEAN, "nothing")
        return "clean" not in self.found.failures

    def noise(self) -> None:
        """Noise of the same size, for Linf."""
        from surrogates.crafting.kept import Limits
        from surrogates.transfer.noise import uniform_noise

        found = self.found
        if found.threat.norm == "Linf":
            z, rows = self.given.z, self.given.rows
            limits = found.threat if rows is None else Limits.of(found.threat, z, rows.free, None, found.ids, found.seed)
            noisy = self.given.shown(uniform_noise(z, limits, found.seed, found.ids), found.threat)
            with self.part("noise"):
                self.ask("noise", noisy, NOISE, "nothing", None if self.given.goal is None else self.wrong)  # reached is reached

    def ceiling(self, white_box: nn.Module, settings: Mapping[str, int]) -> None:
        """The white-box ensemble on the target itself, which is asked after each attack about the images that still stand."""
        from surrogates.crafting.ceiling import against

        found, wrong, spent, done = self.found, self.wrong.copy(), 0, None

        def judge(made: Tensor, rows: Tensor) -> Tensor:
            at = rows.numpy()

            def take(reply: Reply) -> None:
                nonlocal spent
                here = at[: len(reply.label)]
                said, known = self.given.wrong(reply, here)
                wrong[here] |= said
                spent += int(known.sum())

            self._taken(made, take)
            return torch.from_numpy(wrong[at])

        with self.part("ceiling"):
            try:
                with self.kept.calls(self.plain, "ceiling", **self.given.identity(), **settings):
                    done = against(
                        white_box, self.given.z, self.given.labels, found.threat, torch.from_numpy(self.wrong), judge, seed=found.seed,
                        ids=found.ids, **settings,
                    )  # fmt: skip
                found.white_box = done.told()
            finally:
                unknown = ~wrong if done is None else np.zeros(len(wrong), bool)
                found.put("everything", ceiling_row(settings), wrong, unknown, queries=spent)

    def goal_ceiling(self, white_box: nn.Module, settings: Mapping[str, int]) -> None:
        """The white-box row of a goal: PGD on the goal's own loss."""
        import surrogates as sg

        found = self.found
        with self.part("ceiling"):
            made = sg.craft(
                white_box, self.given.z, attack="pgd", threat=found.threat, steps=settings["steps"], seed=found.seed, ids=found.ids,
                goal=self.given.given,
            )  # fmt: skip
            self.ask("ceiling", made, goal_row(settings), "everything", self.wrong)

    def transfer(self, nets: Mapping[str, nn.Module], presets: Sequence[str]) -> None:
        """A row for each net and preset: what is crafted on the net fools the target."""
        import surrogates as sg

        found = self.found
        m: sg.TransferMatrix | None = None
        with self.part("transfer"):
            try:
                with self.kept.calls(self.plain, "transfer", **self.given.identity()):
                    m = sg.transfer_matrix(
                        nets, {"target": self.plain}, self.given.z, None if self.given.goal else self.given.labels, list(presets),
                        [found.threat], seed=found.seed, ids=found.ids, noise=False, goal=self.given.given,
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
                            wrong = ((named >= 0) & (named != m.labels)) | self.wrong
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
        streams = benign(self.given.x, self.found.seed, self.found.ids)
        if self.given.rows is not None:  # which have no neighbours in a clip
            streams = {DIFFERENT: streams[DIFFERENT]}
        for stream, images in streams.items():
            oracle = self.oracle(self.level)
            if len(flags_of_oracle(oracle)):
                self.found.notes.append(
                    "the detector remembers other parts of this evaluation, so that its false alarms are not shown, and later rows had "
                    "more flags: give a fresh detector at each call, lambda access: blackbox.Oracle(Blacklight(model), access, classes)."
                )
                return
            try:
                in_calls(oracle, images, "evaluate")
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
                            self.oracle(level), attack=search, threat=found.threat, budget=budget, **self.given.some(left),
                            seed=found.seed, prior=known, **self.kept.of(name),
                            progress=progress(f"{sees}, {budget:,}") if progress else None, tariff=self.tariff,
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
