"""One thread a process (results must not depend on the number), and the fixtures that several rooms share."""

from __future__ import annotations

import torch

from tests.app_bench import table
from tests.commands import cli, demo, said
from tests.saved_runs import runs
from tests.studies import here

__all__ = ["cli", "demo", "here", "runs", "said", "table"]

torch.set_num_threads(1)
