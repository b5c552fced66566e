"""The plugin's tests: with napari, offscreen where there is no display."""

import importlib.util
import os
import sys
import warnings
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from sciup_napari.link import Link
from sciup_napari.messages import Got, Made, Run, Stop, Wish

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


IMPATIENT = "from sciup_napari import child; child.POLITE = 0; child.main()"
"""A child that does not step back for the viewer: on a busy machine that would take long."""


class SharedLink:
    """Takes the place of `Link`: one child serves many tests, for it takes seconds to start.

    Tests leave nothing behind: a closed link takes back its wishes and its question, says that it
    has got what is still on its way, and hears nothing any more. Whole runs get a child of their
    own.
    """

    child = None
    owner = None
    numbers = count(1)

    def __init__(self, heard, command=()):
        self.heard, self.alone, self.mine, self.open = heard, None, {}, set()
        if command:
            self.alone = Link(heard, command)
            return
        if SharedLink.child is None or not SharedLink.child.alive:
            SharedLink.child = Link(SharedLink.hear)
        SharedLink.owner = self

    @staticmethod
    def hear(message):
        owner = SharedLink.owner
        if isinstance(message, Made):
            got = Got(message.token, message.core, message.quick)
            if owner is None:
                SharedLink.child.send(got)
                return
            owner.open.add(got)
        elif getattr(message, "number", -1) > 0:
            if owner is None or message.number not in owner.mine:  # an answer to an earlier test
                return
            message = replace(message, number=owner.mine[message.number])
        if owner is not None:
            owner.heard(message)

    def send(self, message):
        if isinstance(message, Run):
            self.alone = Link(self.heard)
        if self.alone is not None:
            self.alone.send(message)
            return
        if isinstance(message, Got):
            self.open.discard(message)
        if hasattr(message, "number"):
            number = next(SharedLink.numbers)
            self.mine[number] = message.number
            message = replace(message, number=number)
        SharedLink.child.send(message)

    def close(self):
        if self.alone is not None:
            self.alone.close()
        if SharedLink.owner is self:
            SharedLink.owner = None
            SharedLink.child.send(Wish("", ()))
            SharedLink.child.send(Stop())
            for got in list(self.open):
                SharedLink.child.send(got)

    def interrupt(self):
        self.alone.interrupt()

    @property
    def alive(self):
        return self.real.alive

    @property
    def _process(self):
        return self.real._process

    @property
    def real(self):
        return self.alone or SharedLink.child


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr("sciup_napari.link.COMMAND", (sys.executable, "-c", IMPATIENT))


@pytest.fixture(scope="session")
def shared_child():
    """The class to be used instead of `Link`; its child ends with the tests."""
    yield SharedLink
    if SharedLink.child is not None:
        SharedLink.child.close()


@pytest.fixture
def one_child(monkeypatch, shared_child):
    """The viewers of this test talk to the shared child."""
    monkeypatch.setattr("sciup_napari.talk.Link", shared_child)
