"""``blackbox surrogate``: train a surrogate on a target's answers, count the queries, and measure how far the two agree."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox import specs
from blackbox.checkpoint import fingerprint
from blackbox.cli import logs, options, run_folder
from blackbox.cli.exits import cut_off
from blackbox.cli.progress import Line, clock, say

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from blackbox.loggers.logger import Log
    from blackbox.oracle.oracle import Oracle
    from blackbox.statistics import Rate
    from surrogates import Dataset, TrainReport

CHOICE = 4  # images to choose from for each query that may be spent (chosen here)


def run(
    target: str, how: options.Teaching, images: options.Images, nets: options.Nets, common: options.Run, keep: options.Keep,
    log: list[str] | None = None,
) -> None:  # fmt: skip
    """Query the target, train, measure agreement on held-out images, save."""
    import blackbox as bb
    import surrogates as sg
    from blackbox.statistics import Rate

    logs.opened(log)
    seed, quiet = common.seed, common.quiet
    nets.set_threads()
    own, kept = attacker_images(images, how.holdout, seed)
    count = nets.classes or len(own.classes)
    found = specs.retrying(specs.one_model(target, own, count, nets), keep.retries, nets.device)
    oracle = specs.oracle(found, how.access, count, nets.device)
    recipe = sg.Recipe(epochs=how.epochs, optimiser=how.optimiser)
    net = sg.build(how.arch, classes=count, shape=own.shape, seed=seed)
    if nets.device is not None:
        net = net.to(nets.device)
    path = run_folder.create(common.out, "surrogate", found.name)
    shown = sg.acquire.widened(own, wanted(how), seed)
    run_folder.write_config(path, {
        "verb": "surrogate", "target": found.spec, "access": how.access, "queries": how.queries, "strategy": how.strategy,
        "arch": how.arch, "recipe": asdict(recipe), **asdict(keep), **asdict(images), **asdict(nets), "own_images": len(own),
        "shown_images": len(shown), "held_out": len(kept), "classes": count, "seed": seed, "device": nets.device or "cpu",
    })  # fmt: skip
    shows = oracle.access.name.lower()
    about = f"{len(own):,} images of one's own{' and changed copies of them' if len(shown) > len(own) else ''}"
    about = "a generator's images" if how.strategy in sg.acquire.data_free_names() else about
    say(
        f"plan             {how.arch} from the {shows} of {found.name}: at most {how.queries:,} queries on {about}; "
        f"{len(kept):,} more to measure agreement",
        quiet,
    )
    try:
        net, spent, agreement, rounds = learn(net, oracle, shown, kept, recipe, how, keep, path, common, logs.opened(log, path))
    except (bb.TargetError, KeyboardInterrupt) as error:
        told = f"{_cut_off(error, net, oracle, path)} {keep.again()}"
        raise cut_off(error, told) from error
    measured = sum((oracle.counts + oracle.replayed)[purpose] for purpose in ("fidelity", "verify"))
    report = sg.report(net)
    own_labels = sg.predict(net, kept.images)
    accuracy = Rate.of((own_labels == kept.labels).numpy())
    sg.save_weights(net, path / specs.SURROGATE_FILE)
    summary = "\n".join(
        [
            f"{how.arch} from the {shows} of {found.name} · seed {seed}",
            f"training         {report.summary()}",
            f"queries          {spent:,} to train, {measured:,} to measure; {spent + measured:,} in all",
            *(f"{how.strategy:17}{line.strip()}" for line in rounds),
            f"agreement        {agreement}  of {len(kept)} images it never asked about: the target's class is its own",
            f"accuracy         {accuracy}  of the same images: the true class",
        ]
    )
    bill = {"queries": spent, "measured": measured, "agreement": [agreement.k, agreement.n], "accuracy": [accuracy.k, accuracy.n]}
    _save(path, summary, report, kept, own_labels, {"arch": how.arch, "target": found.name, **bill})
    say(summary, quiet)
    files = f"{specs.SURROGATE_FILE}, summary.txt, surrogate.json, training.json, outcomes.csv, run.json"
    say(f"saved            {path}/: {files}{', curve.json' if rounds else ''}", quiet)
    say(f"next             blackbox transfer --from {path} --to {target} --data {unseen(images.data)} --eps …", quiet)


def wanted(how: options.Teaching) -> int:
    """The number of images to choose from: more than queries for a strategy that selects, seeds only for one that generates its images.

    Raises:
        ValueError: no such strategy.
    """
    import surrogates as sg

    if how.strategy in sg.acquire.data_free_names():
        return 0
    sg.acquire.get(how.strategy)
    few = {"distil": how.queries, "noised": -(-how.queries // 2), "jacobian": 0}
    return few.get(how.strategy, CHOICE * how.queries)


def unseen(data: str) -> str:
    """The data of the next step: images that the surrogate did not learn from. The digits have a part of their own for that."""
    return data if data.lower() == "digits" else "IMAGES-IT-HAS-NOT-SEEN"


def learn(
    net: Any, oracle: Oracle, shown: Dataset, kept: Dataset, recipe: Any, how: options.Teaching, keep: options.Keep,
    path: Path, common: options.Run, log: Log | None = None,
) -> tuple[Any, int, Rate, list[str]]:  # fmt: skip
    """Train the net: returns it, the queries spent, its agreement with the target on ``kept``, and a line for each round."""
    import surrogates as sg
    from blackbox.oracle.kept import Kept

    files = Kept(keep.journal, keep.checkpoint)
    if how.strategy == "distil":
        progress = _progress(how.epochs, common.quiet)
        net = sg.train(
            net, shown, recipe, seed=common.seed, teacher=oracle, queries=how.queries, progress=progress, log=log,
            checkpoint=keep.checkpoint, journal=keep.journal,
        )  # fmt: skip
        spent = sg.report(net).queries  # in all attempts
        with files.calls(oracle, "fidelity", images=fingerprint(kept.images)):
            return net, spent, sg.fidelity(net, oracle, kept.images), []
    if how.strategy in sg.acquire.data_free_names():
        made = sg.acquire.data_free(
            net, oracle, how.strategy, queries=how.queries, recipe=recipe, evaluation=kept, seed=common.seed,
            journal=keep.journal or keep.checkpoint,
        )  # fmt: skip
        say(f"bill             {made.bill}", common.quiet)
        made.curve.save(path / "curve.json")
        return net, oracle.spent, made.curve.evaluation[-1], [*made.curve.table().splitlines()[1:], *made.notes]
    chosen = sg.acquire.get(how.strategy)
    say(f"bill             {sg.acquire.bill(chosen, how.queries, len(shown), 0.0, len(kept))}", common.quiet)
    got = sg.learn(
        net, oracle, shown, how.strategy, queries=how.queries, recipe=recipe, held_out=0.0, evaluation=kept, seed=common.seed,
        log=log, journal=keep.journal or keep.checkpoint,
    )
    got.curve.save(path / "curve.json")
    return net, oracle.spent, got.curve.evaluation[-1], got.curve.table().splitlines()[1:]


def _cut_off(error: BaseException, net: Any, oracle: Oracle, path: Path) -> str:
    """Save the answers bought, or the trained net and how far its agreement is known, and say where."""
    from surrogates import Answers, save_weights

    got = getattr(error, "result", None)
    lines = [f"INCOMPLETE: the target failed, or the run was stopped, after {oracle.spent:,} answers for training."]
    if isinstance(got, Answers) and len(got):
        arrays: dict[str, Any] = {"labels": got.labels.numpy(), "index": got.index, "images": got.images.numpy()}
        if got.probabilities is not None:
            arrays["probabilities"] = got.probabilities.numpy()
        np.savez_compressed(path / "answers.npz", **arrays)
        lines.append(f"answers          {len(got):,} images and what the target said of them: answers.npz")
    elif got is not None and not isinstance(got, Answers):
        save_weights(net, path / specs.SURROGATE_FILE)
        lines.append(f"agreement        {got}  of the images held out: the target's class is its own")
    (path / "summary.txt").write_text("\n".join(lines) + "\n")
    return f"What is known is saved in {path}."


def attacker_images(images: options.Images, holdout: int, seed: int) -> tuple[Dataset, Dataset]:
    """The attacker's images, and held-out ones to measure agreement on: parts of the digits, or a split by (data, seed)."""
    import surrogates as sg

    if holdout < 1:
        raise ValueError(f"Expected --holdout to be at least 1, but it was {holdout}.")
    whole = specs.images(images, seed, default_split="surrogate").data
    if images.data.lower() == "digits":
        return whole, specs.images(options.Images(images.data, n=holdout)).data
    if holdout >= len(whole):
        raise ValueError(
            f"Expected --holdout below the number of images, {len(whole)}, but it was {holdout}: none would be left to learn from."
        )
    parts = sg.split(whole, {"own": len(whole) - holdout, "kept": holdout}, seed=seed)
    return parts["own"], parts["kept"]


def _progress(epochs: int, quiet: bool) -> Callable[[int, TrainReport], None]:
    """A line on each epoch of the training."""
    line = Line(quiet)

    def told(epoch: int, report: TrainReport) -> None:
        left = clock(report.seconds / epoch * (epochs - epoch))
        learned = f"loss {report.loss[-1]:.3f}, {100 * report.accuracy[-1]:.1f} % learned"
        line(f"training: epoch {epoch} of {epochs}, {learned}, {left} left", epoch == epochs)

    return told


def _save(path: Any, summary: str, report: TrainReport, kept: Dataset, labels: Any, bill: dict[str, Any]) -> None:
    """Write the summary, the query counts, the training report, and the surrogate's labels of the held-out images."""
    (path / "surrogate.json").write_text(json.dumps(bill, indent=2) + "\n")
    (path / "summary.txt").write_text(summary + "\n")
    (path / "training.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    table = np.stack([np.arange(len(kept)), kept.labels.numpy(), labels.numpy()], 1)
    np.savetxt(path / "outcomes.csv", table, fmt="%d", delimiter=",", header="image,label,surrogate", comments="")
