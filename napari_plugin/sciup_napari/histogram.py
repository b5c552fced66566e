"""All draws at one pixel, as a small picture."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

BINS = 17
OTHERS, SHOWN, RANGE = QColor("#8C96A8"), QColor("#E69F00"), QColor(86, 180, 233, 60)


class Histogram(QWidget):
    """Bars for all draws, a triangle at the one shown, a band of what the tolerance allows."""

    def __init__(self) -> None:
        super().__init__()
        self.setMinimumHeight(84)
        self._facts: dict[str, Any] | None = None
        self.setToolTip(
            "All draws at this pixel (3 px means). Orange: the draw that is shown. Blue: as far"
            " from it as the tolerance allows."
        )

    def show_facts(self, facts: Any) -> None:
        """Draw the pixel that `LiveView.at` told of; None for nothing."""
        self._facts = facts
        self.update()

    def paintEvent(self, _: Any) -> None:  # noqa: N802 (Qt's name)
        """Draw."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if self._facts is None:
            painter.setPen(OTHERS)
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "no pixel chosen")
            return
        draws = np.asarray(self._facts["draws"], float)
        draws = draws[np.isfinite(draws)]
        if not len(draws):
            return
        shown, limit = float(self._facts["shown"]), float(self._facts["tolerance_value"])
        low = min(draws.min(), shown - limit)
        high = max(draws.max(), shown + limit)
        self._paint(painter, draws, shown, limit, low, max(high, low + 1e-12))

    def _paint(
        self, painter: QPainter, draws: Any, shown: float, limit: float, low: float, high: float
    ) -> None:
        width, base = self.width() - 12, self.height() - 26
        pad = 0.03 * (high - low)
        low, high = low - pad, high + pad

        def at(value: float) -> float:
            return float(6 + width * (value - low) / (high - low))

        painter.fillRect(
            QRectF(at(shown - limit), 4, at(shown + limit) - at(shown - limit), base - 4), RANGE
        )
        counts, edges = np.histogram(draws, BINS, (low, high))
        for number, a, b in zip(counts, edges[:-1], edges[1:], strict=True):
            height = (base - 12) * number / counts.max()
            painter.fillRect(QRectF(at(a) + 0.5, base - height, at(b) - at(a) - 1, height), OTHERS)
        painter.setPen(QPen(OTHERS, 1))
        painter.drawLine(QPointF(6, base), QPointF(6 + width, base))
        painter.setBrush(SHOWN)
        painter.setPen(Qt.PenStyle.NoPen)
        x = at(shown)
        painter.drawPolygon(
            QPolygonF([QPointF(x, base), QPointF(x - 5, base + 9), QPointF(x + 5, base + 9)])
        )
        painter.setPen(OTHERS)
        row = QRectF(6, base + 8, width, 18)
        painter.drawText(row, Qt.AlignmentFlag.AlignLeft, f"{low:.4g}")
        painter.drawText(row, Qt.AlignmentFlag.AlignRight, f"{high:.4g}")
