"""Docks of the widgets: tabs that can be read, beside each other."""

import pytest
from qtpy.QtWidgets import QTabBar, QWidget

from sciup_napari.session import session_of

NAMES = ("Enhance", "Trust lens", "Explore", "Measure")


@pytest.fixture
def window(make_napari_viewer, monkeypatch):
    monkeypatch.setattr("sciup_napari.talk.Talk.warm_up", lambda _: None)
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1280, 800)
    yield viewer.window
    session_of(viewer).close()


def docked(window, name):
    """As napari's menu does it: a dock of its own, below those that are there."""
    return window.add_plugin_dock_widget("sciup", name, tabify=False)[0]


def test_widgets_of_the_menu_share_one_place_and_their_tabs_are_not_cut(window, qtbot):
    docks = [docked(window, name) for name in NAMES]
    main = window._qt_window
    qtbot.waitUntil(lambda: len(main.tabifiedDockWidgets(docks[0])) == len(NAMES) - 1)
    qtbot.wait(50)
    (bar,) = (b for b in main.findChildren(QTabBar) if b.count() == len(NAMES))
    assert [bar.tabText(i) for i in range(bar.count())] == list(NAMES)
    assert bar.tabText(bar.currentIndex()) == NAMES[-1]  # what was opened last is seen
    for i, name in enumerate(NAMES):
        assert bar.fontMetrics().horizontalAdvance(name) < bar.tabRect(i).width()
    # napari finds them by the name in their title bar
    assert docks[0].name == "Enhance (sciup)"
    assert window.add_plugin_dock_widget("sciup", "Enhance")[0] is docks[0]


def test_other_docks_and_what_the_user_has_moved_stay_where_they_are(window, qtbot):
    foreign = window.add_dock_widget(QWidget(), name="foreign")
    first = docked(window, "Enhance")
    first.setFloating(True)
    second = docked(window, "Trust lens")
    qtbot.wait(50)
    assert window._qt_window.tabifiedDockWidgets(foreign) == []
    assert window._qt_window.tabifiedDockWidgets(second) == []
    assert first.isFloating()
