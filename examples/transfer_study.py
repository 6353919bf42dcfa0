"""
A transfer study
================

Which surrogate's examples fool which hidden model, and is it more than noise would? Two surrogates with gradients, three hidden
models without, two presets: a grid. A study is data; it is checked, and its worst-case queries are counted, before anything runs.
Its outcomes are stored cell by cell; ``blackbox sweep study.toml`` runs the same from a file.
"""

import tempfile

from blackbox.sweep import Plan, Study

study = Study(
    name="transfer",
    images={"data": "digits", "n": 64},
    transfer={
        "sources": ["digits:mlp", "digits:cnn"],
        "targets": ["digits:svm-rbf", "digits:forest", "digits:knn"],  # none of them has a gradient
        "presets": ["fgsm", "mi-fgsm"],
        "threats": "linf:0.2",
    },
)
print(Plan.of(study).summary())

# %%
# Cell by cell: ``jobs=2`` or ``dask="tcp://…"`` change the time it takes, and not a bit of the result. A study that grew does only
# what is new, and a run that was killed only what is missing.

with tempfile.TemporaryDirectory() as folder:
    store = f"{folder}/store.sqlite"
    table = study.run(store)
    print(table)

    grown = study.model_copy(update={"transfer": study.transfer.model_copy(update={"threats": ["linf:0.1", "linf:0.2"]})})
    there = table.done
    table = grown.run(store)
    print(f"\ngrown from {there} to {table.done} cells: {table.done - there} were computed")

# %%
# Outcomes are kept image by image, so that any other question can be asked of them. ``noise`` is what noise of the same size does to
# the same images: a transfer rate means something only above it.

for point in table.outcomes:
    if point.target == "digits:svm-rbf" and point.source == "digits:mlp":
        print(f"{point}: {table.rate(point)}, noise {table.noise(point)}")
