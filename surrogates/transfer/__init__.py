"""Transfer: how many of the examples crafted on one net fool another, with noise rows, clean errors and intervals."""
