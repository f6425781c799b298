"""What to cite beside results: the software, the method, the recordings."""

from __future__ import annotations

from importlib.metadata import version

# CITATION.cff, which no installed package contains, says the same; a test compares them.
_SOFTWARE = (
    "The skworm developers. skworm: graph neural networks that read C. elegans behaviour from calcium traces, as "
    "scikit-learn estimators"
)
_METHOD = (
    "Wang, P. Y., Sapra, S., George, V. K. and Silva, G. A. (2021). Generalizable Machine Learning in Neuroscience "
    "Using Graph Neural Networks. Frontiers in Artificial Intelligence 4. doi:10.3389/frai.2021.618372"
)
_RECORDINGS = (
    "Kato, S., Kaplan, H. S., Schrödel, T., Skora, S., Lindsay, T. H., Yemini, E., Lockery, S. and Zimmer, M. (2015). "
    "Global Brain Dynamics Embed the Motor Command Sequence of Caenorhabditis elegans. Cell 163, 656-669. "
    "doi:10.1016/j.cell.2015.09.034"
)


def citations() -> list[str]:
    """List what results made with this version build on.

    Returns
    -------
    list of str
        The software with its version, the method, and the recordings of Kato et al., a sentence each.

    Examples
    --------
    >>> from skworm.experiments.citation import citations
    >>> [reference.split(".")[0] for reference in citations()]
    ['The skworm developers', 'Wang, P', 'Kato, S']
    """
    return [f"{_SOFTWARE}. Version {version('skworm')}.", f"{_METHOD}.", f"{_RECORDINGS}."]
