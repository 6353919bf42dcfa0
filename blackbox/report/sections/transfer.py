"""Transfer matrices: heat map, rates beside noise of the same size, eps, accounts."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

from blackbox.report import radii, style
from blackbox.report.sections.common import safe

if TYPE_CHECKING:
    from blackbox.report.pages import Page
    from blackbox.statistics import Rate
    from blackbox.threat import Threat
    from surrogates import TransferMatrix

ROWS = 60  # of one table; the rest is in transfer.csv
PANELS, WIDE = 4, 14  # heat maps of one picture, and columns of all of them


def add(page: Page, name: str, matrix: TransferMatrix, given: str, folder: Path, own: bool = False) -> None:
    """One matrix under a heading of its own; own: on the page of the run itself, where files have short names."""
    from surrogates.transfer.conditions import AMONG, GIVEN

    if not own:
        page.head(name, 3)
    page.text(
        f"Examples crafted on {', '.join(matrix.sources)}, shown to {', '.join(matrix.targets)}: {len(matrix):,} images, seed "
        f"{matrix.seed}. Rates ({AMONG[given]}): {GIVEN[given]}. Noise of the same size is the floor: it fools too."
    )
    for i, part in enumerate(_parts(matrix)):
        path = folder / ("transfer" + ("" if own else f"-{safe(name)}") + (f"-{i + 1}" if i else "") + (".png" if own else ".svg"))
        for where in style.beside(path):
            part.plot(where, given)
        page.picture(f"Transfer rates {'of ' + name if name else ''}".strip(), part.plot(path, given))
    _table(page, matrix, given)
    _radii(page, name, matrix, given, folder)
    clean = "; ".join(f"{t} {matrix.clean_accuracy(t)}" for t in matrix.targets)
    page.text(f"Clean accuracy: {clean}.")
    if matrix.queries:
        page.text("Queries charged: " + ", ".join(f"{target} {spent:,}" for target, spent in matrix.queries.items()) + ".")


def _parts(matrix: TransferMatrix) -> list[TransferMatrix]:
    """The matrix in pieces of as many radii as one picture has room for."""
    from dataclasses import replace

    size = max(1, min(PANELS, WIDE // len(matrix.targets)))
    many = range(0, len(matrix.threats), size)
    out = []
    for at in (slice(i, i + size) for i in many):
        out.append(replace(
            matrix, threats=matrix.threats[at], adv_source=matrix.adv_source[:, :, at], adv_target=matrix.adv_target[:, :, at],
            linf=matrix.linf[:, :, at], l2=matrix.l2[:, :, at], noise_target=matrix.noise_target[at],
            noise_linf=matrix.noise_linf[at], noise_l2=matrix.noise_l2[at],
        ))  # fmt: skip
    return out


def _table(page: Page, matrix: TransferMatrix, given: str) -> None:
    from surrogates.transfer.conditions import AMONG
    from surrogates.transfer.noise import KINDS
    from surrogates.transfer.render import NOISE, noise_given, noise_kinds

    rows: list[list[str | Rate]] = []
    for e, threat in enumerate(matrix.threats):
        for k in noise_kinds(matrix, e):
            rates = [matrix.noise_rate(t, threat, KINDS[k], noise_given(given)) for t in matrix.targets]
            rows.append([str(threat), "noise", NOISE[KINDS[k]], *rates])
        for source in matrix.sources:
            for attack in matrix.attacks:
                rates = [matrix.rate(source, t, attack, threat, given) for t in matrix.targets]
                rows.append([str(threat), source, attack, *rates])
    more = f" {len(rows) - ROWS:,} more rows are in transfer.csv." if len(rows) > ROWS else ""
    caption = f"Wrong when changed, %, with 95 % Wilson interval; {AMONG[given]}.{more}"
    page.table(["Within", "Crafted on", "With", *matrix.targets], rows[:ROWS], caption, left=3)


def _radii(page: Page, name: str, matrix: TransferMatrix, given: str, folder: Path) -> None:
    """Rate against eps: all targets in one picture if there is room; not where the denominator changes with eps."""
    from surrogates.transfer.conditions import AMONG

    norms: dict[str, list[Threat]] = defaultdict(list)
    for threat in matrix.threats:
        norms[threat.norm].append(threat)
    for norm, threats in norms.items():
        if len(threats) < 2 or given == "source-fooled":
            continue
        each = {target: _lines(matrix, target, threats, given) for target in matrix.targets}
        together = {f"{line}, to {t}": points for t, lines in each.items() for line, points in lines.items()}
        pictures = {"": together} if len(matrix.targets) > 1 and len(together) <= style.MOST else each
        for target, lines in pictures.items():
            path = folder / f"{'-'.join(['eps', *(safe(word) for word in (name, target) if word), norm])}.svg"
            title = f"Transfer against eps{', to ' + target if target else ''}"
            count = sorted({rate.n for points in lines.values() for _, rate in points})
            under = f"{' to '.join(map(str, sorted({count[0], count[-1]})))} {AMONG[given]}; 95 % Wilson intervals."
            made = radii.eps_curves(lines, path, norm, title, under)
            if made is not None:
                page.picture(title, made)


def _lines(matrix: TransferMatrix, target: str, threats: list[Threat], given: str) -> dict[str, list[tuple[float, Rate]]]:
    """A line for each source and attack, and one for uniform noise of the same eps."""
    from surrogates.transfer.render import noise_given

    out = {}
    for source in matrix.sources:
        for attack in matrix.attacks:
            line = f"{attack} from {source}" if len(matrix.sources) > 1 else attack
            out[line] = [(t.eps, matrix.rate(source, target, attack, t, given)) for t in threats]
    noise = [(t.eps, matrix.noise_rate(target, t, "linf", noise_given(given))) for t in threats]
    if all(rate.n for _, rate in noise):
        out["uniform noise"] = noise
    return out
