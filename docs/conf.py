"""Configuration of the documentation."""

from importlib.metadata import version as installed_version

project = "skworm"
author = "The skworm developers"
copyright = author
version = release = installed_version("skworm")

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "myst_parser",
    "numpydoc",
]
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 2
templates_path = ["templates"]
exclude_patterns = ["_build"]

nitpicky = True
autodoc_typehints = "none"
# The pages of estimators list parameters, attributes and methods; a page for each inherited method would bury them.
numpydoc_show_class_members = False

html_theme = "pydata_sphinx_theme"
html_title = "skworm"
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
