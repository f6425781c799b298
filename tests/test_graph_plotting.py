import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from skworm.datasets import load_connectome
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
    assert not display.figure_.legends


def test_a_transposed_table_is_the_same_graph(graph):
    images = [GraphDisplay(each).plot().image_.get_array() for each in (graph, graph.T, graph.astype("Int64"))]
    np.testing.assert_array_equal(images[0], images[1])
    np.testing.assert_array_equal(images[0], images[2])
    marked = [GraphDisplay(graph, reference=each).plot().reference_.get_data() for each in (graph, graph.T)]
    np.testing.assert_array_equal(*marked)
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
    assert labels(display.figure_.legends[0].get_texts()) == ["Cook et al."]


def test_a_graph_that_is_not_square_is_refused(graph):
    with pytest.raises(ValueError, match=r"no row or no column for \['AVAL'\]; pass the same neurons on both axes"):
        GraphDisplay(graph.drop(columns="AVAL")).plot()
