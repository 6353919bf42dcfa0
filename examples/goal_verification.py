"""
Be taken for somebody else
==========================

A service that verifies faces compares embeddings: two pictures are of one person if theirs are near. `blackbox.goals.Verification` comes
near to a reference, or leaves it. Here digits stand for faces, and the embedding is one that separates them. What the same does to a
published face descriptor stands below.
"""

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

import blackbox as bb

digits = load_digits()
images = (digits.images[:, None] / 16).astype(np.float32)
space = LinearDiscriminantAnalysis().fit(digits.data[:900] / 16, digits.target[:900])


def embedding(rows: torch.Tensor) -> np.ndarray:
    """[m, 1, 8, 8] -> [m, 9], all that the service tells."""
    return space.transform(rows.flatten(1).numpy())


# Two of one digit are nearer than this, most of the time
clean, labels = embedding(torch.from_numpy(images[:900])), digits.target[:900]
apart = np.linalg.norm(clean[:450] - clean[450:], axis=1)
threshold = float(np.quantile(apart[labels[:450] == labels[450:]], 0.9))

x, y = images[900:930], digits.target[900:930]
someone = images[930:960]  # each is to be taken for another
oracle = bb.Oracle(embedding, access="answers")
goal = bb.goals.Verification(embedding(torch.from_numpy(someone)), threshold, "impersonate")
result = bb.attack(oracle, x, None, "auto", bb.Linf(0.3), budget=200, goal=goal, seed=0)
print(result.summary())

# %%
# Those that were within the threshold to begin with are not attacked. Three that were found:

found = torch.nonzero(result.success)[:3, 0].tolist()
figure, axes = plt.subplots(3, len(found), figsize=(5, 5.4), layout="constrained")
for i, column in zip(found, axes.T, strict=True):
    for axis, image, title in zip(column, (x[i], result.x_adv[i], someone[i]), ("clean", "as it was found", "the reference"), strict=True):
        axis.imshow(np.asarray(image)[0], cmap="gray", vmin=0, vmax=1)
        axis.set_title(title, fontsize=10)
        axis.set_axis_off()
plt.show()

# %%
# The other way is ``"dodge"``: no longer to be taken for oneself. A service that answers *yes* or *no* shows less. A goal of one's own
# says so, and a walk along the boundary begins at the reference's own picture, which the service takes for the reference:

references = embedding(torch.from_numpy(someone))
decision = bb.goal(
    lambda answer, i: 1.0 if np.linalg.norm(answer - references[i]) <= threshold else -1.0,
    name="taken for the reference, yes or no",
    graded=False,
)
result = bb.attack(oracle, x, None, "hop-skip-jump", bb.Linf(0.3), budget=200, goal=decision, start=someone, seed=0)
print(result.summary())

# %%
# On a published face descriptor
# ------------------------------
#
# The same on the 128 numbers of face-api and faces of 25 pixels, at 8/255; how often, and at what cost, is told
# in :doc:`Goals beyond one class </results/goals>`. Attack nets that are yours or that you may test.
#
# .. image:: /goal_faces.png
#    :alt: Faces before and after, with their distances from a reference
