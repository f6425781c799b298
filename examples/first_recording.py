"""
A first picture of a recording
==============================

Before any model: what does a file hold, and what does the worm do?
"""

import sys

import pandas as pd

from skworm.datasets import load_recordings, make_worms
from skworm.plotting import RecordingDisplay

recordings = load_recordings(sys.argv[1]) if sys.argv[1:] else make_worms(n_worms=4, n_frames=1500, random_state=0)
for recording in recordings:
    print(recording)

# %%
# A heat map of the neurons that were identified, above a strip of the states that were annotated. States differ in
# which neurons are active: that is what a classifier reads.

worm = recordings[0]
display = RecordingDisplay(worm).plot()
display.figure_.savefig("recording.png", dpi=150)

# %%
# A classifier learns a state from the frames that show it. In per cent of the frames of each worm:

annotated = [recording for recording in recordings if recording.states is not None]
shares = {recording.worm: pd.Series(recording.states).value_counts(normalize=True) for recording in annotated}
print(pd.DataFrame(shares).mul(100).round(1).to_string(na_rep="-"))

# %%
# Models compare worms neuron by neuron, so they want neurons that are identified in several of them. How many worms
# have each:

identified = pd.Series([neuron for recording in recordings for neuron in recording.identified], dtype=str)
print(identified.value_counts().rename("worms").to_string())
