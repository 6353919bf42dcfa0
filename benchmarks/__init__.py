"""How near to the bare net the toolkit runs, and what endpoints and sweeps cost: ``python -m benchmarks``, ``python -m benchmarks.gpu``."""
