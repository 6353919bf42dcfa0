"""The figures of the pages on transfer, substitutes, defences, smallest changes and settings: see `experiments.published`."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

import blackbox as bb
import surrogates as sg
from blackbox import statistics
from experiments.measurements import ROOT, Rows, grounded, results
from experiments.paths import rated
from experiments.publishable import Figure, Table, Words, figure
from experiments.runner import RESULTS, counted


def brief(hit: bb.Rate) -> Figure:
    """For tables with a column of images."""
    return Figure.of(hit, percent=True)


# -- transfer ------------------------------------------------------------------------------------------------------


def matrix() -> sg.TransferMatrix:
    folder = ROOT / RESULTS / "transfer_matrix"
    return _matrix(str(folder), (folder / "transfer.npz").stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _matrix(folder: str, time: int) -> sg.TransferMatrix:
    return sg.TransferMatrix.load(folder)


SOURCES = {
    "resnet20": "public resnet20", "vgg": "own vgg, images of the targets", "cnn": "own cnn, images of the targets",
    "both": "own vgg + cnn, images of the targets", "unseen": "own vgg + cnn, unseen images",
}  # fmt: skip


NOISE = {"noise": "linf", "noise-rms": "rms"}


def transferred(source: str, target: str, eps: str, preset: str) -> bb.Rate:
    found = matrix()
    if source in NOISE:
        return found.noise_rate(target, f"Linf {eps}/255", NOISE[source])
    return found.rate(SOURCES[source], target, preset, f"Linf {eps}/255")


@figure
def transfer(source: str, target: str, eps: str, preset: str = "mi-fgsm") -> bb.Rate:
    """Of the images that a target has right, those that it gets wrong when changed on a source; eps in 255ths."""
    return transferred(source, target, eps, preset)


@figure
def transfer_images() -> int:
    return len(matrix())


@figure
def transfer_table(eps: str, preset: str = "mi-fgsm") -> Table:
    """All sources to all targets by one preset, beside noise of the same Linf size and of the same root mean square."""
    names, lines = (*NOISE, *SOURCES), []
    for target in matrix().targets:
        found = [transferred(name, target, eps, preset) for name in names]
        lines.append([target, found[0].n, *map(brief, found)])
    return Table(["target", "images", "noise, same Linf", "noise, same RMS", *SOURCES.values()], lines)


def alone(one: np.ndarray, other: np.ndarray) -> list[Any]:
    """Images fooled by one alone, by the other alone, and McNemar's exact p."""
    found = statistics.mcnemar(one, other)
    return [found.first_only, found.second_only, found.p]


@figure
def overlap_table(eps: str, preset: str = "mi-fgsm") -> Table:
    """Two nets that learned from the targets' own images beside two that did not: each target's images fooled by one pair alone."""
    found, threat, lines = matrix(), f"Linf {eps}/255", []
    for target in found.targets:
        (a, among, _), (b, _, _) = (found.outcomes(SOURCES[name], target, preset, threat) for name in ("both", "unseen"))
        keep = among[0]
        lines.append([target, int(keep.sum()), *alone(a[0][keep], b[0][keep])])
    adjusted = statistics.holm([line[-1] for line in lines])
    lines = [[*line[:-1], f"{p:.2g}"] for line, p in zip(lines, adjusted, strict=True)]
    return Table(["target", "images", "fooled with the targets' images alone", "with unseen images alone", "p (McNemar, Holm)"], lines)


@figure
def foretold_table() -> Table:
    """The cosine of the gradients of each source and target, and the rate of one FGSM step."""
    some = results("transfer_matrix")["foretold"]["rows"]
    targets = list(dict.fromkeys(r["target"] for r in some))
    by = {(r["source"], r["target"]): r for r in some}
    lines = [
        [source, len(by[source, targets[0]]["each"]), *(cosine(by[source, t]["each"]) for t in targets)]
        for source in dict.fromkeys(r["source"] for r in some)
    ]  # fmt: skip
    return Table(["source", "images", *targets], lines)


def cosine(each: list[float]) -> Figure:
    return Figure.of(statistics.mean_estimate(np.array(each)[~np.isnan(each)]), digits=2)


# -- presets -------------------------------------------------------------------------------------------------------


def league(source: str, effort: str, among: str = "reporting") -> list[dict[str, Any]]:
    return [r for r in results("transfer_league")[among] if (r["source"], str(r["effort"])) == (source, effort)]


@figure
def preset_table(source: str, effort: str) -> Table:
    """All presets at one effort; * chosen on other images and targets. Sorted as they were there."""
    chosen = results("transfer_league")["chosen"][source][effort]["preset"]
    there = {r["preset"]: np.mean([k / n for k, n in map(counted, r["fooled"].values())]) for r in league(source, effort, "choosing")}
    some = sorted(league(source, effort), key=lambda r: -there[r["preset"]])
    lines = [
        [f"**{r['preset']}** *" if r["preset"] == chosen else r["preset"], r["gradients"], *(rated(hit) for hit in r["fooled"].values())]
        for r in some
    ]  # fmt: skip
    return Table(["preset", "gradients", *some[0]["fooled"]], lines)


@figure
def preset(source: str, effort: str, name: str, target: str) -> bb.Rate:
    """The rate of one preset; the name ``chosen`` is the one chosen on other images and targets."""
    chosen = results("transfer_league")["chosen"][source][effort]["preset"]
    (row,) = (r for r in league(source, effort) if r["preset"] == (chosen if name == "chosen" else name))
    return rated(row["fooled"][target])


@figure
def preset_tests(which: str = "all") -> int:
    """Comparisons of a chosen preset with another on a target: all, or those that differ at 5 %, adjusted for their number
    (``better``: the chosen one ahead; ``worse``: the other)."""
    found = results("transfer_league")["tests"]
    differ = [t for t in found if t["p adjusted"] < 0.05]
    ahead = [t for t in differ if t["chosen alone"] > t["other alone"]]
    return {"all": len(found), "better": len(ahead), "worse": len(differ) - len(ahead)}[which]


# -- substitutes ---------------------------------------------------------------------------------------------------


@figure
def substitute_table() -> Table:
    """Agreement with the target and the rate of FGSM of each way of spending the queries, with the weight decay that was chosen."""
    lines = [
        [r["way"]["name"], f"{r['decay']:g}", bb.Rate(*r["points"][-1]["agreement"]), rated(r["points"][-1]["fgsm"])]
        for r in results("practical_blackbox")["rows"]
    ]  # fmt: skip
    return Table(["what the target shows, how the queries are spent", "weight decay", "agreement", "fooled by FGSM"], lines)


# -- defences ------------------------------------------------------------------------------------------------------


@figure
def detector_table() -> Table:
    found = results("detector_defence_digits")["attacks"]
    names = ("classifier fooled", "noticed of these", "both fooled")
    return Table(["attack", "it", *names], [[name, row["kind"], *(rated(row[n]) for n in names)] for name, row in found.items()])


# -- smallest changes, rays ----------------------------------------------------------------------------------------


@figure
def smallest(attack: str) -> Figure:
    """The median over images of an attack's distance over L-BFGS's, towards the same class."""
    (row,) = (r for r in results("minimum_norm")["rows"] if (r["attack"], r["mode"]) == (attack, "one class"))
    found = row["against"]
    return Figure(found["ratio"], found["low"], found["high"], found["n"], digits=2)


@figure
def first_eps(loss: str, what: str = "first eps that fools") -> Figure:
    """Over digits the median eps along the FGSM ray at which the label changes, or up to which the loss is straight."""
    found = results("taylor_digits")["losses"][loss][what]
    return Figure(found["value"], found["low"], found["high"], found["n"], digits=3)


@figure
def straight(loss: str) -> bb.Rate:
    """Digits whose label changes while the loss is still close to its tangent."""
    each = results("taylor_digits")["losses"][loss]["each"]
    pairs = zip(each["first eps that fools"], each["radius of linearity"], strict=True)
    return bb.Rate.of([first is not None and first <= radius for first, radius in pairs])


# -- why it transfers ----------------------------------------------------------------------------------------------


@figure
def kinship_table() -> Table:
    """Nets that share data, architecture or initialisation with the hidden one: cosine of the gradients and transfer."""
    some = [r for r in results("why_it_transfers")["rows"] if "#" not in r["net"]]  # the first training of each kind
    lines = [[r["net"], cosine(r["each"]), rated(r["fooled"])] for r in some]
    return Table(["net, compared with the target", "cosine", "transfer, FGSM at 0.1"], lines)


# -- settings ------------------------------------------------------------------------------------------------------


def setting(source: str, use: str, target: str, p_init: float) -> Rows:
    """Square's rows on one target with one setting; use: what the ground has to keep them for."""
    some = tuple(r for r in results(source)["rows"] if (r["target"], r["p_init"]) == (target, p_init))
    about = {"target": {"name": target}, "images": {"among": some[0]["among"]}, "ids": some[0]["ids"]}
    grounded(source, about, [r["seed"] for r in some], use)
    return Rows(source, some, about)


def settings(source: str) -> tuple[list[str], list[float]]:
    """The targets and values that were measured."""
    targets, values = (list(dict.fromkeys(r[name] for r in results(source)["rows"])) for name in ("target", "p_init"))
    return targets, sorted(values)


@figure
def p_init_table() -> Table:
    """How p_init was chosen: mean queries of Square on the ground for choosing."""
    targets, values = settings("square_p_init")
    lines = []
    for target in targets:
        found = [setting("square_p_init", "choosing", target, value) for value in values]
        lines.append([target, found[0].n, *(some.mean() for some in found)])
    return Table(["target", "images", *(f"p_init {value:g}" for value in values)], lines)


@figure
def tuned_table(base: str) -> Table:
    """Mean queries with each setting on targets that are reported on, and the ratio of the chosen one to another, image by image."""
    targets, values = settings("tuned")
    chosen, lines = results("tuned")["chosen"]["p_init"], []
    for target in targets:
        found = {value: setting("tuned", "reporting", target, value) for value in values}
        lines.append([target, found[chosen].n, *(some.mean() for some in found.values()), found[chosen].over(found[float(base)])])
    return Table(["target", "images", *(f"p_init {value:g}" for value in values), f"{chosen:g} over {base}"], lines)


@figure
def tuned(name: str) -> Words:
    """The setting that was the best on nets of one's own."""
    return Words(f"{results('tuned')['chosen'][name]:g}")
