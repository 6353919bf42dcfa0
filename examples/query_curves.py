"""
Success against queries
=======================

A mean number of queries hides whether an attack is quick on most images or slow on all. The curve shows it, with its 95 % band.
"""

import matplotlib.pyplot as plt

import blackbox as bb
import surrogates as sg

part = sg.split(sg.load("digits"), {"target": 900, "own": 400, "attack": 100}, seed=0)
target = sg.train(sg.build("cnn", classes=10, shape=(1, 8, 8)), part["target"], sg.Recipe(epochs=8), seed=0)
own = sg.train(sg.build("mlp", classes=10, shape=(1, 8, 8)), part["own"], sg.Recipe(epochs=15), seed=1)
x, y = part["attack"].images, part["attack"].labels

settings = {
    "hybrid, a surrogate and scores": ("hybrid", "scores", sg.prior(own)),
    "square, scores": ("square", "scores", None),
    "nes, scores": ("nes", "scores", None),
    "rays, labels": ("rays", "labels", None),
}
budgets = [1, 2, 3, 5, 10, 20, 30, 50, 100, 200, 300]
figure, axis = plt.subplots(figsize=(8, 4), layout="constrained")
for title, (name, access, prior) in settings.items():
    oracle = bb.Oracle(target, access=access, classes=10)
    result = bb.attack(oracle, x, y, name, threat=bb.Linf(0.2), budget=300, prior=prior, seed=0)
    rates = result.curve(budgets)
    line = axis.plot(budgets, [100 * rate.value for rate in rates], label=title)[0]
    axis.fill_between(budgets, [100 * r.low for r in rates], [100 * r.high for r in rates], color=line.get_color(), alpha=0.15, lw=0)
axis.set(xscale="log", xlabel="queries an image", ylabel="fooled, % of the images that the target had right", ylim=(0, 100))
axis.legend(frameon=False, loc="upper left")
plt.show()
