"""How the gallery of examples is made: its order, and where its pictures come from."""

import shutil
from pathlib import Path
from typing import Any
from weakref import WeakSet

from matplotlib.figure import Figure
from sphinx_gallery.scrapers import figure_rst

ORDER = (
    "first_recording.py",
    "first_steps.py",
    "own_recordings.py",
    "choosing_a_split.py",
    "grid_search.py",
    "missing_neurons.py",
    "calibrated_probabilities.py",
    "velocity.py",
    "forecasting.py",
    "reading_a_graph.py",
)
DOTS_PER_INCH = 150

_taken: WeakSet[Figure] = WeakSet()


class ReadingOrder:
    """Sort examples as a newcomer would read them."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self, name: str) -> int:
        """Tell the place of an example; one that is not in ``ORDER`` is an error."""
        return ORDER.index(name)


def pictures_of_displays(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Take the figures of all displays that a block has made: they are apart from pyplot, where others would look."""
    paths, titles = [], []
    for value in block_vars["example_globals"].values():
        figure = getattr(value, "figure_", None)
        if isinstance(figure, Figure) and figure not in _taken:
            _taken.add(figure)
            paths.append(next(block_vars["image_path_iterator"]))
            titles.append((type(value).__doc__ or "").partition("\n")[0])
            figure.savefig(paths[-1], dpi=DOTS_PER_INCH)
    return figure_rst(paths, gallery_conf["src_dir"], fig_titles="; ".join(titles))


def copy_examples(source: Path, target: Path) -> None:
    """Copy the examples to where they may leave files: they run in the folder they lie in."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "skworm_results", "*.png"))
