"""The dock widget 'Blind rating'."""

from __future__ import annotations

from collections.abc import Callable, Generator
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

from napari.qt.threading import create_worker
from napari.utils.notifications import show_error, show_info
from qtpy.QtWidgets import QFileDialog, QMessageBox, QStackedLayout, QWidget

from sciup.errors import OptionError, SciupError
from sciup.evaluate.tables import Table
from sciup_napari.rating import scores
from sciup_napari.rating.pages import DonePage, ResultsDialog, SetupPage
from sciup_napari.rating.plan import Task
from sciup_napari.rating.record import Log
from sciup_napari.rating.session import Session
from sciup_napari.rating.study import RATINGS, Study, open_study
from sciup_napari.session import bare

if TYPE_CHECKING:
    from napari.viewer import Viewer

NO_TRUTH = "none"
EVERY = 0.1
"""Seconds between two reports of the check."""


class BlindRating(QWidget):
    """Choose a study, rate it, see the results.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        The name is what napari fills in.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self.viewer: Viewer = bare(napari_viewer)
        self.setup = SetupPage()
        self.session: Session | None = None
        self._checking: Any = None
        self._pages = QStackedLayout(self)
        self._pages.addWidget(self.setup)
        self.setMinimumWidth(300)
        self.setup.browse.clicked.connect(self._browse)
        self.setup.folder.textChanged.connect(self._forget)
        self.setup.folder.editingFinished.connect(self.look)
        self.setup.start.clicked.connect(self.start)
        self.setup.results.clicked.connect(self.show_results)

    @property
    def folder(self) -> Path:
        """The folder of the study."""
        return Path(self.setup.folder.text().strip())

    def _chosen(self) -> bool:
        """Whether there is a folder at all; an empty path would be the present folder."""
        if not self.setup.folder.text().strip():
            self._fail(OptionError("no folder is chosen", "", "press 'Browse…' and choose one"))
            return False
        return True

    def _browse(self) -> None:
        chosen = QFileDialog.getExistingDirectory(self, "Folder of the study")
        if chosen:
            self.setup.folder.setText(chosen)
            self.look()

    def _forget(self, _: str) -> None:
        """What was found belongs to the folder before."""
        self.setup.found.setText("")
        self.setup.truth.clear()

    def look(self) -> None:
        """See what the folder holds, and offer its methods as the truth."""
        if self.setup.folder.text().strip():
            self._work(open_study, self._tell, self.folder)

    def _tell(self, study: Study) -> None:
        if study.folder != self.folder.expanduser():
            return
        page = self.setup
        page.found.setText(f"{len(study.methods)} methods, {len(study.images)} images")
        page.truth.clear()
        page.truth.addItems([NO_TRUTH, *study.methods])
        page.truth.setCurrentText(study.truth or NO_TRUTH)

    def start(self) -> None:
        """Check the study and go on where this rater left; a second click stops the check."""
        if self._checking is not None:
            self._checking.quit()
            return
        if not self._chosen():
            return
        chosen = self.setup.truth.currentText()
        truth = chosen or "auto"
        self._checking = create_worker(
            prepared,
            self.folder,
            None if truth == NO_TRUTH else truth,
            self.setup.seed.value(),
            self.setup.rater.text(),
            self.setup.task,
            _connect={
                "yielded": self._progress,
                "returned": self._begin,
                "errored": self._fail,
                "finished": self._checked,
            },
            _ignore_errors=True,
        )
        self.setup.start.setText("Stop checking")

    def _progress(self, told: str) -> None:
        self.setup.found.setText(told)

    def _checked(self) -> None:
        self._checking = None
        self.setup.start.setText("Start")

    def _begin(self, log: Log | None) -> None:
        if log is None:
            self.setup.found.setText("stopped")
            return
        self.setup.found.setText("")
        try:
            self.session = Session(self.viewer, log, self._done)
        except SciupError as error:
            self._fail(error)
            return
        self._turn(self.session.page)
        self.session.begin(self)

    def _done(self, log: Log) -> None:
        """All is answered."""
        page = DonePage(log.rater, len(log.trials), str(log.path))
        page.results.clicked.connect(lambda: self.show_results(finished=True))
        page.again.clicked.connect(lambda: self._turn(self.setup))
        self.session = None
        self._turn(page)

    def _turn(self, page: QWidget) -> None:
        """Show a page and drop the one before, except the first."""
        old = self._pages.currentWidget()
        if self._pages.indexOf(page) < 0:
            self._pages.addWidget(page)
        self._pages.setCurrentWidget(page)
        if old is not None and old is not self.setup and old is not page:
            self._pages.removeWidget(old)
            old.deleteLater()

    def show_results(self, _: bool = False, *, finished: bool = False) -> None:
        """Show the tables, asking first where somebody may still be blind."""
        if self._chosen() and (finished or self._confirmed()):
            self._work(scores.results, self._open_results, self.folder)

    def _confirmed(self) -> bool:
        yes = QMessageBox.StandardButton.Yes
        answer = QMessageBox.question(
            self,
            "Show results?",
            "The results tell how each method was judged. Whoever sees them is no longer blind.\n\n"
            "Has everybody finished?",
        )
        return bool(answer == yes)

    def _open_results(self, tables: list[Table]) -> None:
        text = "\n\n".join(f"## {t.name.capitalize()}\n\n{t.markdown()}" for t in tables)
        self.results = ResultsDialog(text, self)
        self.results.save.clicked.connect(lambda: self._save(tables))
        self.results.show()

    def _save(self, tables: list[Table]) -> None:
        folder = self.folder / RATINGS / "results"
        try:
            for table in tables:
                table.write(folder)
        except OSError as error:
            show_error(f"{folder} cannot be written: {error.strerror}. To fix it: free the disk.")
            return
        show_info(f"Tables are in {folder}")

    def _work(self, function: Callable[..., Any], then: Callable[[Any], None], *what: Any) -> None:
        """Do something in a thread, and go on in this one."""
        create_worker(
            function,
            *what,
            _connect={"returned": then, "errored": self._fail},
            _ignore_errors=True,
        )

    def _fail(self, error: Exception) -> None:
        if not isinstance(error, SciupError):
            raise error
        self.setup.found.setText("")
        show_error(str(error))


def prepared(
    folder: Path, truth: str | None, seed: int, rater: str, task: Task
) -> Generator[str, None, Log]:
    """Open a study, check all its files, and open the file of the rater.

    Yields
    ------
    str
        How far the check is.
    """
    study = open_study(folder, truth=truth, seed=seed)
    log = Log(study, rater, task)
    told = monotonic()
    for number, _ in enumerate(study.check(), 1):
        if monotonic() - told > EVERY:
            told = monotonic()
            yield f"Checking images: {number} of {len(study.images)}"
    return log
