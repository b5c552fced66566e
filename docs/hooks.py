"""Writes the reference of the command line from the program itself, so that it is never wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from sciup.cli import app

PLACE = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the commands where a page asks for them."""
    return markdown.replace(PLACE, commands()) if PLACE in markdown else markdown


def commands() -> str:
    """All commands of the program with their options, as Markdown."""
    return "\n\n".join(describe(name, command) for name, command in walk("sciup", get_command(app)))


def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """A command and all below it, with their whole names."""
    yield name, command
    for key, child in getattr(command, "commands", {}).items():
        yield from walk(f"{name} {key}", child)


def describe(name: str, command: Any) -> str:
    """One command: what it does, and a table of what can be given."""
    context = command.context_class(command, info_name=name)
    rows = [cells for p in command.params if (cells := row(p, context)) and not p.hidden]
    table = ["| | |", "|---|---|", *rows] if rows else []
    return "\n".join([f"## `{name}`", "", prose(command.help or ""), "", *table])


def prose(text: str) -> str:
    """The help of a command: markup of the terminal as Markdown, its examples as code."""
    text = re.sub(r"\[/?bold\]", "**", text.strip())
    return re.sub(r"^\s*(sciup .*)$", r"\n    \1", text, flags=re.MULTILINE)


def row(parameter: Any, context: Any) -> str:
    """One line of the table; empty for what has no help of its own."""
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    left, right = (" ".join(text.split()).replace("|", "\\|") for text in record)
    return f"| `{left}` | {right} |"
