"""The command line: thin, and never a traceback for bad input."""

from sciup.cli.commands import app, main

__all__ = ["app", "main"]
