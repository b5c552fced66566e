"""What the dock widget shows before, during and after a rating: widgets without behaviour."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QButtonGroup,
    QComboBox,
    QDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QRadioButton,
    QSizePolicy,
    QSpinBox,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from sciup_napari.rating.plan import TASKS, Task

QUESTION: dict[Task, str] = {
    "scores": "How well could this be a real image of this sample?",
    "choice": "Which one is the truth?",
}
WORDS = {"5": "excellent", "4": "good", "3": "fair", "2": "poor", "1": "bad"}
SIDES = {"left": "←  Left  (A)", "right": "Right  (B)  →"}
KEYS: dict[Task, str] = {
    "scores": "Keys: 1 to 5, Backspace goes back one, P pauses.",
    "choice": "Keys: A or ←, B or →, Backspace goes back one, P pauses.",
}
TALL = 46
"""Least height of the buttons of answers, in pixels."""


class SetupPage(QWidget):
    """Folder, name, task, truth and seed."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("one subfolder per method")
        self.folder.setToolTip("A folder with one subfolder per method, the same images in each")
        self.browse = QPushButton("Browse…")
        self.found = _text("")
        self.rater = QLineEdit()
        self.rater.setMaxLength(40)
        self.rater.setPlaceholderText("name or initials")
        self.tasks: dict[Task, QRadioButton] = {
            "scores": QRadioButton("Score each image from 1 to 5"),
            "choice": QRadioButton("Choose the truth among two"),
        }
        self.truth = QComboBox()
        self.truth.setToolTip("The subfolder of real images; scores can do without")
        self.seed = QSpinBox()
        self.seed.setRange(0, 2**31 - 1)
        self.seed.setToolTip("Decides order and fields; give all raters the same")
        self.start = QPushButton("Start")
        self.start.setMinimumHeight(TALL)
        self.results = QPushButton("Results…")
        self.results.setToolTip("Tells which method is which: when everybody has finished")
        self._arrange()

    @property
    def task(self) -> Task:
        """What was chosen."""
        return next(task for task in TASKS if self.tasks[task].isChecked())

    def _arrange(self) -> None:
        self.tasks["scores"].setChecked(True)
        self._group = QButtonGroup(self)
        for button in self.tasks.values():
            self._group.addButton(button)
        form = QFormLayout()
        form.setRowWrapPolicy(QFormLayout.RowWrapPolicy.WrapLongRows)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Folder", _beside(self.folder, self.browse))
        form.addRow("", self.found)
        form.addRow("Rater", self.rater)
        form.addRow("Task", self.tasks["scores"])
        form.addRow("", self.tasks["choice"])
        form.addRow("Truth", self.truth)
        form.addRow("Seed", self.seed)
        column = QVBoxLayout(self)
        column.addWidget(_text("Judge images without knowing which method made them."))
        column.addLayout(form)
        column.addWidget(self.start)
        column.addStretch()
        column.addWidget(self.results)


class TrialPage(QWidget):
    """The question, the answers, progress."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.question = _text(QUESTION[task], larger=3, bold=True)
        self.message = _text("")
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.count = _text("")
        words = {k: f"{k}   {word}" for k, word in WORDS.items()} if task == "scores" else SIDES
        self.answers = {given: QPushButton(words[given]) for given in words}
        for button in self.answers.values():
            button.setMinimumHeight(TALL)
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # Space would answer once more
            _enlarge(button, 3)
        self.back = QPushButton("Back one")
        self.pause = QPushButton("Pause")
        column = QVBoxLayout(self)
        column.addWidget(self.question)
        answers = QVBoxLayout() if task == "scores" else QHBoxLayout()
        for button in self.answers.values():
            answers.addWidget(button)
        column.addLayout(answers)
        column.addWidget(self.message)
        column.addStretch()
        column.addWidget(self.count)
        column.addWidget(self.bar)
        column.addWidget(_beside(self.back, self.pause))
        column.addWidget(_text(KEYS[task]))


class DonePage(QWidget):
    """Thanks, and where the answers are."""

    def __init__(self, rater: str, number: int, path: str) -> None:
        super().__init__()
        self.results = QPushButton("Results…")
        self.again = QPushButton("Another rater or task")
        self.path = _text(path)
        self.path.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        column = QVBoxLayout(self)
        column.addWidget(_text(f"Thank you, {rater}!", larger=4, bold=True))
        column.addWidget(_text(f"All {number} answers are kept in"))
        column.addWidget(self.path)
        column.addStretch()
        column.addWidget(self.again)
        column.addWidget(self.results)


class ResultsDialog(QDialog):
    """Tables as text."""

    def __init__(self, markdown: str, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Blind rating: results")
        self.resize(900, 640)
        self.text = QTextBrowser()
        self.text.setMarkdown(markdown)
        self.save = QPushButton("Save tables…")
        self.close_ = QPushButton("Close")
        self.close_.clicked.connect(self.close)
        column = QVBoxLayout(self)
        column.addWidget(self.text)
        column.addWidget(_beside(self.save, self.close_))


def _text(words: str, larger: int = 0, *, bold: bool = False) -> QLabel:
    label = QLabel(words)
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    _enlarge(label, larger, bold=bold)
    return label


def _enlarge(widget: QWidget, points: int, *, bold: bool = False) -> None:
    """By a style sheet, since that of napari overrides fonts."""
    size = widget.font().pointSize() + points
    weight = "bold" if bold else "normal"
    if points:
        widget.setStyleSheet(f"font-size: {size}pt; font-weight: {weight};")


def _beside(*widgets: QWidget) -> QWidget:
    both = QWidget()
    row = QHBoxLayout(both)
    row.setContentsMargins(0, 0, 0, 0)
    for widget in widgets:
        row.addWidget(widget)
    return both
