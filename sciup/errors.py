"""Every error that sciup raises on purpose.

Which one to raise:

=====================  ===================================================================
`InputError`           the file or array given cannot be read or cannot be upscaled
`OptionError`          an option has a value that is not allowed, or options contradict
`OutputError`          the output exists, is not writable, or does not fit on the disk
`ModelError`           a model folder, recipe, weight file or checksum is wrong or missing
`ResumeError`          the unfinished output was started with other input or settings
`ClusterError`         workers died, cannot be started, or do not see the files
`MissingPackageError`  an optional package is needed for what was asked
`InterruptedRunError`  a run was stopped from outside and can go on (exit code 75, not 2)
=====================  ===================================================================

The message is one paragraph: what was wrong, what was got, what is allowed, how to fix it.
The command line prints it without a traceback and exits with `exit_code`.
"""

from __future__ import annotations


class SciupError(Exception):
    """Base of all errors raised on purpose.

    Parameters
    ----------
    what : str
        What was wrong, with the value that was got.
    allowed : str, optional
        What would have been accepted.
    fix : str, optional
        What to do about it.

    Examples
    --------
    >>> str(OptionError("scale 3 was asked of 'fluorescence-x4'", "4", "use --scale 4"))
    "scale 3 was asked of 'fluorescence-x4'. Allowed: 4. To fix it: use --scale 4."
    """

    exit_code = 2

    def __init__(self, what: str, allowed: str = "", fix: str = "") -> None:
        self.what, self.allowed, self.fix = what, allowed, fix
        parts = [what.rstrip(".") + "."]
        if allowed:
            parts.append(f"Allowed: {allowed.rstrip('.')}.")
        if fix:
            parts.append(f"To fix it: {fix.rstrip('.')}.")
        super().__init__(" ".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.what, self.allowed, self.fix)


class InputError(SciupError):
    """The input cannot be read or cannot be upscaled."""


class OptionError(SciupError):
    """An option has a value that is not allowed, or options contradict."""


class OutputError(SciupError):
    """The output exists already, is not writable, or does not fit on the disk."""


class ModelError(SciupError):
    """A model folder, recipe, weight file or checksum is wrong or missing."""


class ResumeError(SciupError):
    """The unfinished output was started with another input or other settings."""


class ClusterError(SciupError):
    """Workers died, cannot be started, or do not see the files."""


class MissingPackageError(SciupError):
    """An optional package is needed for what was asked."""


class InterruptedRunError(SciupError):
    """Stopped from outside; what was done is kept and ``--resume`` goes on."""

    exit_code = 75
