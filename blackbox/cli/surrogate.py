"""``blackbox surrogate``: a net trained from a target's answers, the bill, and how far the two agree."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from blackbox.cli import folder, pool, specs
from blackbox.cli.attack import set_threads
from blackbox.cli.progress import clock, say

if TYPE_CHECKING:
    from collections.abc import Callable

    from surrogates import Dataset, TrainReport


def run(
    target: str, queries: int, arch: str, *, access: str, data: str, holdout: int, epochs: int, optimiser: str,
    n: int | None, pick: str, split: str | None, size: int | None, class_names: str | None,
    classes: int | None, mean: str | None, std: str | None,
    seed: int, device: str | None, threads: int | None, out: str | None, quiet: bool,
) -> None:  # fmt: skip
    """Ask, train, measure agreement on images that were not asked about, save."""
    import surrogates as sg
    from blackbox.statistics import Rate

    set_threads(threads)
    if queries < 1:
        raise ValueError(f"Expected --queries to be at least 1, but it was {queries}.")
    own, kept = attacker_images(data, n, pick, split, size, class_names, holdout, seed)
    count = classes or len(own.classes)
    found = specs.models(target, own, count, mean=mean, std=std)
    if len(found) > 1:
        raise ValueError(f"Expected one target, but {target} names {len(found)}. Choose one of them: {found[0].spec} …")
    oracle = specs.oracle(found[0], access, count, device)
    recipe = sg.Recipe(epochs=epochs, optimiser=optimiser)
    net = sg.build(arch, classes=count, shape=own.shape, seed=seed)
    if device is not None:
        net = net.to(device)
    path = folder.create(out, "surrogate", found[0].name)
    shown = pool.widen(own, queries, seed)
    effective = {
        "verb": "surrogate", "target": found[0].spec, "access": oracle.access.name.lower(), "queries": queries,
        "arch": arch, "recipe": asdict(recipe), "data": data, "split": split, "own_images": len(own),
        "shown_images": len(shown), "held_out": len(kept), "n": n, "pick": pick, "size": size,
        "class_names": class_names, "classes": count, "mean": mean, "std": std, "seed": seed, "device": device or "cpu",
    }  # fmt: skip
    folder.write_config(path, effective)
    say(
        f"plan             {arch} from the {oracle.access.name.lower()} of {found[0].name}: at most {queries:,} queries on "
        f"{len(own):,} images of one's own{' and changed copies of them' if len(shown) > len(own) else ''}; "
        f"{len(kept):,} more to measure agreement",
        quiet,
    )
    net = sg.train(net, shown, recipe, seed=seed, teacher=oracle, queries=queries, progress=_progress(epochs, quiet))
    report = sg.report(net)
    spent = oracle.rows
    agreement = sg.fidelity(net, oracle, kept.images)
    own_labels = sg.predict(net, kept.images)
    accuracy = Rate.of((own_labels == kept.labels).numpy())
    sg.save_weights(net, path / specs.SURROGATE_FILE)
    summary = "\n".join(
        [
            f"{arch} from the {oracle.access.name.lower()} of {found[0].name} · seed {seed}",
            f"training         {report.summary()}",
            f"queries          {spent:,} to train, {oracle.counts['fidelity']:,} to measure; {oracle.rows:,} in all",
            f"agreement        {agreement}  of {len(kept)} images it never asked about: the target's class is its own",
            f"accuracy         {accuracy}  of the same images: the true class",
        ]
    )
    _save(path, summary, report, kept, own_labels)
    say(summary, quiet)
    say(f"saved            {path}/: {specs.SURROGATE_FILE}, summary.txt, training.json, outcomes.csv, run.json", quiet)
    say(f"next             blackbox transfer --from {path} --to {target} --data {data} --eps …", quiet)


def attacker_images(
    data: str,
    n: int | None,
    pick: str,
    split: str | None,
    size: int | None,
    class_names: str | None,
    holdout: int,
    seed: int,
) -> tuple[Dataset, Dataset]:
    """The attacker's images, and others kept aside to measure agreement on.

    The digits have a part for either. Other data are cut in two, by (data, seed).
    """
    import surrogates as sg

    if holdout < 1:
        raise ValueError(f"Expected --holdout to be at least 1, but it was {holdout}.")
    whole = specs.images(
        data, n=n, pick=pick, split=split, size=size, classes=class_names, seed=seed, default_split="surrogate"
    ).data
    if data.lower() == "digits":
        return whole, specs.images(data, n=holdout).data
    if holdout >= len(whole):
        raise ValueError(
            f"Expected --holdout below the number of images, {len(whole)}, but it was {holdout}: none would be left to learn from."
        )
    parts = sg.split(whole, {"own": len(whole) - holdout, "kept": holdout}, seed=seed)
    return parts["own"], parts["kept"]


def _progress(epochs: int, quiet: bool) -> Callable[[int, TrainReport], None] | None:
    """A line now and then while training."""
    import sys
    import time

    if quiet:
        return None
    live, last = sys.stderr.isatty(), time.perf_counter()

    def line(epoch: int, report: TrainReport) -> None:
        nonlocal last
        now = time.perf_counter()
        left = report.seconds / epoch * (epochs - epoch)
        text = f"training: epoch {epoch} of {epochs}, loss {report.loss[-1]:.3f}, {100 * report.accuracy[-1]:.1f} % learned"
        if live:
            end = "\n" if epoch == epochs else "\r"
            print(f"{text}, {clock(left)} left    ", end=end, file=sys.stderr, flush=True)
        elif now - last >= 5:
            last = now
            print(f"{text}, {clock(left)} left", file=sys.stderr, flush=True)

    return line


def _save(path: Any, summary: str, report: TrainReport, kept: Dataset, labels: Any) -> None:
    """Summary, the training report, and the labels given to the held-out images."""
    (path / "summary.txt").write_text(summary + "\n")
    (path / "training.json").write_text(json.dumps(asdict(report), indent=2) + "\n")
    table = np.stack([np.arange(len(kept)), kept.labels.numpy(), labels.numpy()], 1)
    np.savetxt(path / "outcomes.csv", table, fmt="%d", delimiter=",", header="image,label,surrogate", comments="")
