"""``blackbox app``: an interactive page on this machine.

`benches` loads models and images; `opening` chooses what the page begins with; `compute`, `why`, `hunt`, `upload` and `saved`
compute what it shows, without gradio; `draw`, `plots`, `curves` and `verdict` make HTML and words of it; `page` lays it out;
`server` serves it.
"""
