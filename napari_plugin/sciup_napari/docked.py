"""A widget that sits in a dock of the window: with a short tab, beside its like."""

from __future__ import annotations

from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QDockWidget, QMainWindow, QScrollArea

from sciup_napari.parts import once_after

SUFFIX = " (sciup)"
"""What napari puts behind the names of our widgets."""


class Docked(QScrollArea):
    """Joins the docks of its like as a tab when it is docked; a base.

    napari puts the docks that are opened from its menu below each other, where two of ours have no
    room. Where the user moves them later is the user's choice. The title bar keeps the name of the
    plugin; a tab has no room for it, and cuts what is too long.
    """

    def __init__(self) -> None:
        super().__init__()
        self._settle = once_after(0, self._join, self)

    def event(self, event: QEvent) -> bool:
        """Hear of a new dock, before it is in its window."""
        dock = self.parent()
        if event.type() == QEvent.Type.ParentChange and isinstance(dock, QDockWidget):
            dock.setWindowTitle(dock.windowTitle().removesuffix(SUFFIX))
            self._settle.start()
        return bool(super().event(event))

    def _join(self) -> None:
        dock = self.parent()
        window = dock.parent() if isinstance(dock, QDockWidget) else None
        if not isinstance(window, QMainWindow) or window.tabifiedDockWidgets(dock):
            return
        area = window.dockWidgetArea(dock)
        for other in window.findChildren(QDockWidget):
            widget = other.widget()
            if not isinstance(widget, Docked) or widget is self or widget._settle.isActive():
                continue  # one that has just come joins those that were there, not they it
            shown = not (other.isHidden() or other.isFloating())
            if shown and window.dockWidgetArea(other) == area:
                window.tabifyDockWidget(other, dock)
                dock.raise_()
                return


__all__ = ["Docked"]
