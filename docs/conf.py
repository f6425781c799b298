"""Configuration of the documentation."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from gallery import copy_examples  # noqa: E402  # it stands beside this file

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
    "sphinx_gallery.gen_gallery",
]
myst_enable_extensions = ["deflist", "dollarmath"]
myst_heading_anchors = 2
templates_path = ["templates"]
exclude_patterns = ["_build"]

nitpicky = True
autodoc_typehints = "none"
# The pages of estimators list parameters, attributes and methods; a page for each inherited method would bury them.
numpydoc_show_class_members = False

copy_examples(HERE.parent / "examples", HERE / "_build" / "examples")
sphinx_gallery_conf = {
    "examples_dirs": "_build/examples",
    "gallery_dirs": "generated/examples",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "gallery.ReadingOrder",
    "image_scrapers": ("gallery.pictures_of_displays",),
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skworm",),
    # In a notebook sys.argv holds options of Jupyter.
    "notebook_extensions": set(),
    "download_all_examples": False,
    "show_signature": False,
    "write_computation_times": False,
}

html_theme = "pydata_sphinx_theme"
html_title = "skworm"
html_static_path = ["static"]
html_css_files = ["skworm.css"]
# A page without pages below it needs no list of them.
html_sidebars = {"contributing": []}
html_theme_options = {"show_prev_next": False, "secondary_sidebar_items": ["page-toc"]}
