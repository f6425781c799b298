"""Can every two states of a vocabulary be told apart, whatever cones the reader has?"""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex, to_rgb

from skworm.datasets import make_worms
from skworm.frames import make_frames, make_trajectories
from skworm.plotting import LINE_COLORS, STATE_COLORS, TrajectoryDisplay
from skworm.plotting.base import colors_of_states
from skworm.recording import STATES, UNKNOWN, VOCABULARIES

# Machado et al. 2009, "A physiologically-based model for simulation of color vision deficiency", Table 1, severity 1;
# they act on linear RGB.
SEEN_WITH = {
    "all cones": np.eye(3),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
# IEC 61966-2-1: from linear sRGB to XYZ under D65.
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(color):
    values = np.array(to_rgb(color))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIE 1976 L*a*b* of linear sRGB, white point D65."""
    relative = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    x, y, z = np.where(relative > (6 / 29) ** 3, np.cbrt(relative), relative / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def smallest_distance(colors, sees):
    """Smallest CIE 1976 colour difference; 2.3 is just noticeable on large patches side by side."""
    seen = [lab(sees @ linear(color)) for color in colors]
    return min(np.linalg.norm(left - right) for left, right in combinations(seen, 2))


def test_the_colour_difference_is_that_of_known_colours():
    np.testing.assert_allclose(lab(linear("#FFFFFF")), [100, 0, 0], atol=0.02)
    np.testing.assert_allclose(lab(linear("#FF0000")), [53.24, 80.09, 67.20], atol=0.05)
    red_and_green = smallest_distance(["#CC4444", "#4C8A2E"], SEEN_WITH["all cones"])
    assert smallest_distance(["#CC4444", "#4C8A2E"], SEEN_WITH["deuteranopia"]) < red_and_green / 5


def test_every_state_has_a_colour_of_its_own_and_one_place_in_the_order():
    assert list(STATE_COLORS) == list(STATES)
    coarse = [state for state in STATES if state in VOCABULARIES["4"].values()]
    assert coarse == ["forward", "reverse", "dorsal_turn", "ventral_turn", "turn", UNKNOWN]
    assert len(set(STATE_COLORS.values())) == len(STATES)


@pytest.mark.parametrize("sees", SEEN_WITH)
@pytest.mark.parametrize("vocabulary", VOCABULARIES)
def test_states_of_a_vocabulary_stay_apart(vocabulary, sees):
    states = dict.fromkeys([*VOCABULARIES[vocabulary].values(), UNKNOWN])
    assert smallest_distance([STATE_COLORS[state] for state in states], SEEN_WITH[sees]) > 15


@pytest.mark.parametrize("sees", SEEN_WITH)
def test_lines_of_models_stay_apart(sees):
    assert smallest_distance(LINE_COLORS, SEEN_WITH[sees]) > 15


def test_lines_of_models_have_no_colour_of_a_state():
    for line in LINE_COLORS:
        apart = [smallest_distance([line, color], SEEN_WITH["all cones"]) for color in STATE_COLORS.values()]
        assert min(apart) > 25, line


@pytest.mark.parametrize("n_states", [2, 7, 30])
def test_own_states_have_colours_that_no_other_state_of_the_picture_has(n_states):
    own = [f"motif_{number:02}" for number in range(n_states)]
    colors = colors_of_states([*own, "forward", UNKNOWN, None, np.nan])
    assert list(colors) == ["forward", *own, UNKNOWN]
    assert len(set(colors.values())) == n_states + 2
    assert colors["forward"] == STATE_COLORS["forward"]
    assert not set(colors.values()) & set(LINE_COLORS)


@pytest.mark.parametrize("state", STATES)
def test_a_state_is_seen_on_white(state):
    assert np.linalg.norm(lab(linear(STATE_COLORS[state])) - [100, 0, 0]) > 15


def test_rows_of_a_recording_have_the_colours_of_all_its_states():
    (worm,) = make_worms(1, 200, random_state=0)
    own = replace(worm, states=np.repeat(["dwelling", "roaming"], 100))
    X, y = make_frames(own, neurons=["AVAL"], states="as_recorded", derivative="backward")
    _, Y = make_trajectories(X, burn_in=1, horizon=4)
    shown = [TrajectoryDisplay(X, Y, {}, row=row, states=y).plot() for row in (3, len(Y) - 1)]
    labels = [[text.get_text() for text in display.figure_.legends[0].get_texts()] for display in shown]
    assert labels == [["dwelling"], ["roaming"]]
    colors = [to_hex(display.figure_.legends[0].legend_handles[0].get_facecolor()).upper() for display in shown]
    assert colors == list(colors_of_states(["dwelling", "roaming"]).values())
