"""One thread a worker: the machines that run this have few cores, and results must not depend on the number."""

from __future__ import annotations

import torch

torch.set_num_threads(1)
