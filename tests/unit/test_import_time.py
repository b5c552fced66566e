"""`import sciup` is quick and brings no heavy package along."""

import json
import subprocess
import sys

import pytest

LIMIT_S = 0.3
HEAVY = ["torch", "dask", "distributed", "napari", "matplotlib", "zarr", "astropy"]
SCRIPT = """
import json, sys, time
start = time.process_time()
import sciup
print(json.dumps({"seconds": time.process_time() - start, "modules": sorted(sys.modules)}))
"""


@pytest.fixture(scope="module")
def imports():
    """What five fresh interpreters saw, in time of the processor: the machine may be busy."""
    command = [sys.executable, "-W", "error", "-c", SCRIPT]
    runs = (subprocess.run(command, check=True, capture_output=True) for _ in range(5))
    return [json.loads(run.stdout) for run in runs]


def test_is_quick(imports):
    assert min(run["seconds"] for run in imports) < LIMIT_S


@pytest.mark.parametrize("package", HEAVY)
def test_does_not_import(imports, package):
    assert package not in imports[0]["modules"]
