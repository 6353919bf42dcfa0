"""Proposals: what a random search tries next (windows, stripes, ripples), and the bases that directions are drawn from."""
