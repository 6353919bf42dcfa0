"""A transfer study: which surrogate's examples fool which hidden model, and is it more than noise would?"""

import tempfile

from blackbox.sweep import Plan, Study

# The same as TOML is what `blackbox sweep study.toml` reads
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

with tempfile.TemporaryDirectory() as folder:
    store = f"{folder}/store.sqlite"
    # Cell by cell; jobs=2 or dask="tcp://…" change the time it takes, and not a bit of the result
    table = study.run(store)
    print(f"\n{table}\n")

    # A study that grew does only what is new, and a run that was killed only what is missing
    grown = study.model_copy(update={"transfer": study.transfer.model_copy(update={"threats": ["linf:0.1", "linf:0.2"]})})
    there = table.done
    table = grown.run(store)
    print(f"grown from {there} to {table.done} cells: {table.done - there} were worked off\n")

# Outcomes are kept image by image, so that any other question can be asked of them
for point in table.outcomes:
    if point.target == "digits:svm-rbf" and point.source == "digits:mlp":
        print(f"{point}: {table.rate(point)}, noise {table.noise(point)}")
