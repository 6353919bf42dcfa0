"""Proposals: what a random search tries next, and the bases that directions are drawn from.

    windows   places in an image             squares  the moves of Square     stripes  where Square starts
    ripples   waves as short as pixels allow signs    moves over sign vectors  tiles    squares of pixels that move together
    orders    entries in a line, and halved  bases    orthonormal directions
    noise     where random directions come from
"""
