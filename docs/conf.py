"""How Sphinx builds the site: ``make docs``. It reaches no network and takes about two minutes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE / "_ext"), str(HERE.parent)]
os.environ["PYTHONPATH"] = os.pathsep.join([str(HERE.parent), os.environ.get("PYTHONPATH", "")])  # the notebooks' kernels
os.environ.setdefault("OMP_NUM_THREADS", "1")  # arithmetic repeats to the last bit

import inventories  # noqa: E402

import blackbox  # noqa: E402

project = "blackbox"
author = "The blackbox authors"
copyright = "the blackbox authors, MIT licence"  # the name that Sphinx reads
version = release = blackbox.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.intersphinx",
    "sphinx_gallery.gen_gallery",
    "sphinx_design",
    "sphinx_copybutton",
    "attack_cards",
    "docstrings",
    "measured",
    "results",
]
exclude_patterns = ["_build", "_ext", "gallery/*.ipynb", "gallery/*.py", "gallery/*.py.md5", "**.ipynb_checkpoints"]
suppress_warnings = ["config.cache"]  # the gallery's functions in this file cannot be pickled

# Text: Markdown (MyST). The notebooks are run; the other pages' code is run by tests/e2e/test_docs.py.
myst_enable_extensions = ["colon_fence", "deflist", "attrs_inline"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 120
nb_merge_streams = True

# API: docstrings are written in Google's style, single backticks name Python objects.
toc_object_entries = False
default_role = "py:obj"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autosummary_generate = False
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_use_ivar = True

# Links to other libraries come from short lists in this repository, so that the build needs no network.
intersphinx_mapping = inventories.write(HERE / "_build" / "inventories")

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "gallery",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "abort_on_example_error": True,
    "download_all_examples": False,
    "write_computation_times": False,
    "show_memory": False,
    "show_signature": False,
    "copyfile_regex": r"^$",
    "default_thumb_file": str(HERE / "examples.png"),
}
copybutton_prompt_text = r"\$ |>>> "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_title = "blackbox"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_sidebars = {"index": [], "start": [], "concepts/index": []}
html_theme_options = {
    "logo": {"text": "blackbox"},
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
