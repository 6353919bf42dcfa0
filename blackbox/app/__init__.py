"""``blackbox app``: an interactive page on this machine. `benches` loads models and images; `compute`, `hunt`, `upload` and
`saved` compute what it shows, without gradio; `draw` makes HTML of it; `page` lays it out; `server` serves it.
"""
