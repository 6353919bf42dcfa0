"""How many images does Bayesian optimisation fool within 50 queries, with two nets of one's own and without?

Targets of `experiments.ground`, a hundred images of each, the first seed for reporting. Beside `bo` and `p-bo` attacks of ours that
make something of so few queries. Those that plan for their budget (Square and what goes on as it does) are told how small it is, which
handicaps them: see `experiments.published_bayesian.fifty_of_longer`. `p-bo` four times: with its coefficient fitted and with 1
for all images, each with nets that mean well and with nets whose gradients mislead. Kept for each image: the queries charged, the clean
check among them, and whether it was fooled. Every target has a file, results/bayesian/TARGET.json.

    python -m experiments.studies.bayesian --targets poolcnn
    python -m experiments.studies.bayesian --study settings    # on what is for choosing: results/bayesian/settings-TARGET.json
"""

from __future__ import annotations

from dataclasses import dataclass

from experiments import ground
from experiments.rows import Job, Row, measured, ours
from experiments.runner import Book, Real, run, says
from experiments.studies.queries import described

PRIOR = "two"
OTHERS = ("hybrid", "transfer-start", "p-rgf", "gfcs", "simba-ods", "bases")
ROWS = (
    ours("p-bo", PRIOR), ours("p-bo", PRIOR, coefficient=1.0), ours("p-bo", "misled"), ours("p-bo", "misled", coefficient=1.0), ours("bo"),
    *(ours(name, PRIOR) for name in OTHERS), ours("square"), ours("ripples"),
)  # fmt: skip
TRIALS = (
    *(ours("bo", cells=cells) for cells in (4, 5, 8, 16)), *(ours("bo", beta=beta) for beta in (1.0, 5.0)),
    ours("bo", steps=5, step_size=0.6), *(ours("p-bo", PRIOR, renew=renew) for renew in (5, 2)), ours("p-bo", PRIOR, beta=1.0),
    ours("p-bo", PRIOR, cells=5), ours("p-bo", "misled"),
)  # fmt: skip
REPORTED = ("resnet32", "poolcnn", "resnet2b_adv", "vit_adv")
STUDIES = {"rows": (ROWS, REPORTED), "settings": (TRIALS, ("resnet20", "cnna_adv"))}


@dataclass(frozen=True)
class Settings(Real):
    study: str = says("rows", "what to measure", STUDIES)
    targets: tuple[str, ...] = says((), f"of experiments/ground.toml [{', '.join(REPORTED)}]")
    attacks: tuple[str, ...] = says((), "names, without the commas in them [all]")
    seeds: tuple[int, ...] = says((), "of the attacks [the first of the target's ground]")
    images: int = says(100, "so many of a target's, spread over its classes; 0: all")
    budget: int = says(50, "queries an image")


def asked(s: Settings) -> list[Row]:
    """The rows that the settings name. Raises ValueError: there is no such row."""
    some = {row.attack.replace(",", ""): row for row in STUDIES[s.study][0]}
    if absent := [name for name in s.attacks if name not in some]:
        raise ValueError(f"Expected --attacks to be of {', '.join(some)}, but it named {', '.join(absent)}.")
    return [row for name, row in some.items() if not s.attacks or name in s.attacks]


def measure(s: Settings) -> None:
    use = "choosing" if s.study == "settings" else "reporting"
    for target in s.targets or STUDIES[s.study][1]:
        case = ground.case(target, s.root, count=s.images or None, use=use)
        name = f"bayesian/{'settings-' * (s.study == 'settings')}{target}{f'-{s.images}' if s.images != 100 else ''}"
        book = Book(name, s, same=("budget", "images"))
        book.put(command=f"python -m experiments.studies.bayesian --study {s.study} --targets {target}", **described(target, case))
        for seed in s.seeds or ground.seeds(use)[:1]:
            for row in asked(s):
                if not (row.prior and ground.holds(row.prior, target, case.data)):
                    job = Job(case, row.access, None, s.budget, seed, s.root)
                    book.row(lambda row=row, job=job: measured(row, job), attack=row.attack, seed=seed, budget=s.budget)  # type: ignore[misc]


if __name__ == "__main__":
    run(Settings, measure)
