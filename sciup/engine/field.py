"""A field of a plate: a result that also opens as an image where the plate has one."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

from sciup.engine.job import Job
from sciup.io._plate import add_face


@dataclass(frozen=True)
class FieldJob(Job):
    """A job whose result is a field of a plate."""

    @classmethod
    def of(cls, job: Job) -> FieldJob:
        """The same job, for a plate."""
        return cls(**{f.name: getattr(job, f.name) for f in fields(Job)})

    def complete(self, path: Path) -> None:
        """Let the result show one of its maps as an image."""
        add_face(path)


__all__ = ["FieldJob"]
