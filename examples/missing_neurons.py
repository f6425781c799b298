"""
A new worm with other neurons
=============================

No two recordings identify the same neurons. A classifier reads a new worm by those that it has, and how far it comes
with few of them depends on how it was trained.
"""

import numpy as np
import pandas as pd

from skworm import MLPStateClassifier, VirtualWorms
from skworm.datasets import make_worms
from skworm.frames import make_frames
from skworm.plotting import ScoreCurveDisplay

# %%
# Some neurons were not identified in some worms. ``neurons="union"`` keeps all that any worm has, and writes NaN where
# a worm lacks one.

recordings = make_worms(n_worms=6, n_frames=1000, identification_rate=0.9, random_state=0)
X, y = make_frames(recordings, neurons="union", missing="nan", states="4")
print(X.isna().groupby(level="worm").any().T.iloc[::2].sum().rename("neurons that the worm lacks").to_string())

# %%
# ``neuron_dropout`` makes every virtual worm lack some neurons, at random. The last two worms stay out of training.

worm = X.index.get_level_values("worm")
new_worms = [recording.worm for recording in recordings[-2:]]
is_new = worm.isin(new_worms)
training = {"max_epochs": 150, "learning_rate": 0.01, "random_state": 0}
models = {
    "trained on all neurons": MLPStateClassifier(augmentation=VirtualWorms(), **training),
    "trained with dropout": MLPStateClassifier(augmentation=VirtualWorms(neuron_dropout=0.3), **training),
}
for model in models.values():
    model.fit(X[~is_new], y[~is_new])

# %%
# What each of them reads in a new worm when all but some of its neurons are hidden, drawn at random three times:

generator = np.random.default_rng(0)
names = list(dict.fromkeys(column.partition(":")[0] for column in X.columns))
rows = []
for n_shown in (3, 6, 9, 12, len(names)):
    for new_worm in new_worms * 3:
        shown = set(generator.choice(names, n_shown, replace=False))
        hidden = [column for column in X.columns if column.partition(":")[0] not in shown]
        frames, states = X[worm == new_worm].copy(), y[worm == new_worm]
        frames[hidden] = np.nan
        for name, model in models.items():
            rows.append({"model": name, "worm": new_worm, "x": n_shown, "score": model.score(frames, states)})

scores = pd.DataFrame(rows).assign(panel="unseen worms")
display = ScoreCurveDisplay(scores, xlabel="Neurons that the model is shown (number)").plot()
display.figure_.savefig("missing_neurons.png", dpi=150)
