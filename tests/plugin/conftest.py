"""The plugin's tests: with napari, offscreen where there is no display."""

import importlib.util
import os
import warnings
from pathlib import Path

import pytest

if not os.environ.get("DISPLAY"):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

collect_ignore_glob = []
if importlib.util.find_spec("napari") is None:
    collect_ignore_glob = ["test_*.py"]
else:
    with warnings.catch_warnings():  # what its packages say when they are imported
        warnings.simplefilter("ignore")
        import napari.qt  # noqa: F401
        import npe2  # noqa: F401


def pytest_configure(config):
    """Say plainly what is left out, and why."""
    if collect_ignore_glob:
        config.issue_config_time_warning(
            UserWarning("napari is not installed: the plugin's tests are left out"), 2
        )


def pytest_collection_modifyitems(items):
    """Warnings of napari and Qt are not ours to mend; a viewer needs a display with OpenGL."""
    here = str(Path(__file__).parent)
    for item in items:
        if not str(item.path).startswith(here):
            continue
        for kind in ("DeprecationWarning", "FutureWarning", "PendingDeprecationWarning"):
            item.add_marker(pytest.mark.filterwarnings(f"ignore::{kind}"))
        if "make_napari_viewer" in item.fixturenames and not os.environ.get("DISPLAY"):
            item.add_marker(pytest.mark.skip(reason="needs a display with OpenGL: use xvfb-run"))
