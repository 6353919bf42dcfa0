"""Analysis: why examples transfer (gradient alignment, directions, factorial designs, rays through the input space)."""
