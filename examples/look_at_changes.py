"""
What attacks do to an image
===========================

The same digit, four attacks, four norms: many small changes, a few large ones, and everything between.
"""

import matplotlib.pyplot as plt

import blackbox as bb
import surrogates as sg

part = sg.split(sg.load("digits"), {"target": 900, "attack": 20}, seed=0)
net = sg.train(sg.build("cnn", classes=10, shape=(1, 8, 8)), part["target"], sg.Recipe(epochs=8), seed=0)
oracle = bb.Oracle(net, access="scores", classes=10)
x, y = part["attack"].images, part["attack"].labels

runs = {
    "square, Linf 0.3": ("square", bb.Linf(0.3)),
    "simba, L2 2": ("simba", bb.L2(2)),
    "square, L1 10": ("square", bb.L1(10)),
    "sparse, L0 8": ("sparse", bb.L0(8)),
}
results = {title: bb.attack(oracle, x, y, name, threat=threat, budget=400, seed=0) for title, (name, threat) in runs.items()}
for title, result in results.items():
    print(f"{title:17} {result.curve([400])[0]}")

# %%
# The first digit that all four fool. Red is brighter than before, blue is darker; the scale is the same in all.

fooled = sum(result.success.int() for result in results.values())
i = int(fooled.argmax())
figure, axes = plt.subplots(2, 5, figsize=(9, 4), layout="constrained")
axes[0, 0].imshow(x[i, 0], cmap="gray", vmin=0, vmax=1)
axes[0, 0].set_title(f"clean: a {y[i]}", fontsize=10)
for (title, result), column in zip(results.items(), axes.T[1:], strict=True):
    column[0].imshow(result.x_adv[i, 0], cmap="gray", vmin=0, vmax=1)
    column[0].set_title(f"{title}\nnow a {result.adv_label[i]}", fontsize=10)
    column[1].imshow(result.x_adv[i, 0] - x[i, 0], cmap="RdBu_r", vmin=-1, vmax=1)
for axis in axes.flat:
    axis.set_axis_off()
plt.show()
