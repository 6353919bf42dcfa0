"""
What a channel costs an attacker
================================

A channel stands between target and attacker: fewer or rounded scores, noise, 8-bit input. Here the same net behind five of them,
each attacked by the method that suits it best.
"""

import matplotlib.pyplot as plt

import blackbox as bb
import surrogates as sg

part = sg.split(sg.load("digits"), {"target": 900, "attack": 60}, seed=0)
net = sg.train(sg.build("cnn", classes=10, shape=(1, 8, 8)), part["target"], sg.Recipe(epochs=8), seed=0)
x, y = part["attack"].images, part["attack"].labels

oracles = {
    "all scores": bb.Oracle(net, access="scores", classes=10),
    "scores, two decimals": bb.Oracle(bb.targets.Rounded(net, 2), access="scores", classes=10),
    "noisy scores": bb.Oracle(bb.targets.Noisy(net, 0.02), access="scores", classes=10),
    "images in 8 bits": bb.Oracle(bb.targets.EightBit(net), access="scores", classes=10),
    "labels alone": bb.Oracle(net, access="labels", classes=10),
}
rates = {}
for name, oracle in oracles.items():
    result = bb.attack(oracle, x, y, "auto", threat=bb.Linf(0.2), budget=150, seed=0)
    rates[name] = result.curve([150])[0]
    print(f"{name:21} {rates[name]}")

# %%
# A channel that stops an attack on scores protects only as far as the attack on labels does: the label is always there too.

figure, axis = plt.subplots(figsize=(8, 3), layout="constrained")
values = [100 * rate.value for rate in rates.values()]
spread = [[100 * (r.value - r.low) for r in rates.values()], [100 * (r.high - r.value) for r in rates.values()]]
axis.barh(list(rates), values, xerr=spread, color="0.75", ecolor="0.3", capsize=3)
axis.invert_yaxis()
axis.set(xlim=(0, 100), xlabel="fooled within 150 queries, % [95 %]")
plt.show()
