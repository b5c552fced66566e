"""The manifest is valid, all that it names can be imported, and napari's start is not slowed."""

import subprocess
import sys

from npe2 import PluginManifest


def test_the_manifest_is_valid_and_everything_it_names_exists():
    manifest = PluginManifest.from_distribution("sciup")
    assert manifest.name == "sciup"
    manifest.validate_imports()


def test_importing_the_plugin_imports_nothing_heavy():
    code = (
        "import sys, sciup_napari;"
        "heavy = {'torch', 'napari', 'qtpy', 'dask', 'scipy', 'astropy', 'zarr'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
