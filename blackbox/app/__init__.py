"""``blackbox app``: a page on one's own machine to play with. What it computes is in `bench`, `compute`, `hunt`, `upload`
and `saved`, and knows nothing of gradio; `draw` makes HTML and pictures of it; `page` lays them out; `server` serves them.
"""
