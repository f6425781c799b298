"""
Choosing a model by a grid search
=================================

A grid search over three models, in a pipeline, that chooses what does best on worms it was not trained on.
"""

import sys

from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline

from skworm import GNNStateClassifier, MLPStateClassifier, SVMStateClassifier, VirtualWorms, WormGroupKFold
from skworm.datasets import load_recordings, make_worms
from skworm.frames import WormMinMaxScaler, make_frames
from skworm.plotting import ConfusionDisplay

recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms(n_worms=4, n_frames=1000, random_state=0)

# %%
# ``fit_scope="train"`` leaves dF/F as it is, and the scaler in the pipeline learns its ranges anew from the training
# frames of each fit. ``unseen="own"`` scales a new worm by its own range: brightness differs too much between worms.
# A scaler of scikit-learn in this place would need ``pipeline.set_output(transform="pandas")``, or the names of worms
# and neurons would not reach the classifier.

X, y = make_frames(recordings, states="4", fit_scope="train")
worm = X.index.get_level_values("worm")
pipeline = Pipeline([("scale", WormMinMaxScaler(unseen="own")), ("classify", SVMStateClassifier())])

training = {"max_epochs": 80, "learning_rate": 0.01, "random_state": 0}
augmentations = [None, VirtualWorms()]
parameters = [
    {"classify": [SVMStateClassifier()], "classify__C": [0.1, 1.0, 10.0]},
    {"classify": [MLPStateClassifier(**training)], "classify__augmentation": augmentations},
    {"classify": [GNNStateClassifier(**training)], "classify__augmentation": augmentations},
]

# %%
# One worm is set aside before the search: the best of many scores is too good to be believed by itself. Inside the
# search two worms train and the others are scored, for every choice of the two.

is_new = worm == recordings[-1].worm
inner = WormGroupKFold(n_splits=2, n_train_worms=2, random_state=0)
search = GridSearchCV(pipeline, parameters, cv=inner)
search.fit(X[~is_new], y[~is_new], groups=worm[~is_new])

for settings, mean in zip(search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True):
    changes = {name.removeprefix("classify__"): value for name, value in settings.items() if name != "classify"}
    print(f"{mean:.3f}  {type(settings['classify']).__name__:20} {changes}")

# %%
# ``GridSearchCV`` has fitted the best settings again, on all the worms that it was given. This is what they do on the
# worm that was set aside:

best = type(search.best_params_["classify"]).__name__
print(f"chosen: {best}; accuracy on {recordings[-1].worm}, set aside: {search.score(X[is_new], y[is_new]):.3f}")

display = ConfusionDisplay.from_predictions(y[is_new], {best: search.predict(X[is_new])})
display.figure_.savefig("chosen_model.png", dpi=150)
