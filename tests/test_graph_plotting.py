import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from skworm import GNNStateClassifier
from skworm.datasets import load_connectome, make_worms
from skworm.frames import make_frames
from skworm.plotting import GraphDisplay

NAMES = ["RID", "AVAL", "VB01", "AVAR"]


@pytest.fixture
def graph():
    values = np.array([[9, 1, 2, 3], [4, 9, 5, 6], [7, 8, 9, 10], [11, 12, 0, 9.0]])
    return pd.DataFrame(values, index=pd.Index(NAMES, name="pre"), columns=pd.Index(NAMES, name="post"))


def draw(display):
    FigureCanvasAgg(display.figure_).draw()


def labels(texts):
    return [text.get_text() for text in texts]


def test_a_matrix_has_senders_in_rows(graph):
    display = GraphDisplay(graph, label="Weight").plot()
    draw(display)
    order = ["AVAL", "AVAR", "RID", "VB01"]
    assert labels(display.ax_.get_yticklabels()) == labels(display.ax_.get_xticklabels()) == order
    np.testing.assert_array_equal(display.image_.get_array(), graph.loc[order, order])
    assert (display.ax_.get_ylabel(), display.ax_.get_xlabel()) == ("Sender (pre)", "Receiver (post)")
    assert display.colorbar_.ax.get_ylabel() == "Weight"
    assert display.legend_ is None
    chosen = GraphDisplay(graph, neurons=["VB01", "RID"]).plot()
    assert chosen.image_.get_array().tolist() == [[9, 7], [2, 9]]


def test_a_transposed_table_is_the_same_graph(graph):
    images = [GraphDisplay(each).plot().image_.get_array() for each in (graph, graph.T, graph.astype("Int64"))]
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])
    marked = [GraphDisplay(graph, reference=each).plot().reference_.get_data() for each in (graph, graph.T)]
    np.testing.assert_array_equal(*marked)
    assert GraphDisplay(graph, neurons=["VB1", "RID"]).plot().image_.get_array().shape == (2, 2)
    twice = graph.rename(index={"RID": "AVAR"}, columns={"RID": "AVAR"})
    with pytest.raises(ValueError, match=r"names \['AVAR'\] more than once"):
        GraphDisplay(twice).plot()


def test_colours_begin_at_zero_and_signed_weights_have_white_there(graph):
    assert GraphDisplay(graph).plot().image_.get_clim() == (0, 12)
    assert GraphDisplay(graph * 0).plot().image_.get_clim() == (0, 1)
    graph.loc["RID", "AVAL"] = -20
    image = GraphDisplay(graph).plot().image_
    assert image.get_clim() == (-20, 20)


def test_edges_of_the_reference_are_marked(graph):
    reference = load_connectome("cook2019", ["AVAL", "AVAR", "VB1", "AVBL"], self_loops=True)
    reference.iloc[:] = 0
    reference.loc["AVAL", "VB01"] = 3
    reference.loc["VB01", "AVAR"] = np.nan
    reference.loc["AVAR", "AVAR"] = 1
    display = GraphDisplay(graph, reference=reference, reference_label="Cook et al.").plot()
    draw(display)
    assert [line.tolist() for line in display.reference_.get_data()] == [[3], [0]]
    assert "Cook et al." in labels(display.legend_.get_texts())


def test_a_connectome_is_named_with_its_source():
    connectome = load_connectome("cook2019", ["AVAL", "AVAR", "RIML"])
    matrix = GraphDisplay(connectome, reference=load_connectome("white1986")).plot()
    assert matrix.colorbar_.ax.get_ylabel() == "Edge weight, connectome (Cook et al. 2019)"
    assert labels(matrix.legend_.get_texts()) == ["edge of the connectome (White et al. 1986)"]
    own = pd.DataFrame(connectome.to_numpy(), index=connectome.index, columns=connectome.columns)
    assert labels(GraphDisplay(own, reference=own).plot().legend_.get_texts()) == ["edge of the reference"]
    assert GraphDisplay(own, label="Weight").plot().colorbar_.ax.get_ylabel() == "Weight"


def test_graphs_of_a_fitted_network_are_drawn_into_given_axes():
    X, y = make_frames(make_worms(2, n_frames=200, random_state=0), states="2")
    gnn = GNNStateClassifier(max_epochs=2, random_state=0, device="cpu").fit(X, y)
    axes = Figure().subplots()
    display = GraphDisplay.from_estimator(gnn, worm="simulated-1", ax=axes)
    assert display.ax_ is axes
    order = sorted(gnn.neurons_)
    np.testing.assert_array_equal(display.image_.get_array(), gnn.graphs_["simulated-1"].loc[order, order])
    everyone = GraphDisplay.from_estimator(gnn, reference=load_connectome(), ax=Figure().subplots())
    draw(everyone)
    with pytest.raises(ValueError, match="no worm 'worm-x' was in training; choose among simulated-0"):
        GraphDisplay.from_estimator(gnn, worm="worm-x")


def test_wrong_options_of_a_graph_are_named(graph):
    with pytest.raises(ValueError, match="has no row or no column for 'ALA'; choose among AVAL, AVAR"):
        GraphDisplay(graph, neurons=["ALA"]).plot()
