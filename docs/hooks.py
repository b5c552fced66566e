"""Writes the reference of the command line from the program itself, so that it is never wrong."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

PLACE = "<!-- commands -->"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put the commands where a page asks for them."""
    return markdown.replace(PLACE, commands()) if PLACE in markdown else markdown


def commands() -> str:
    """All commands of the program with their options, as Markdown."""
    if find_spec("sciup.cli") is None:
        return "The command line is not there yet."
    from typer.main import get_command

    from sciup.cli import app

    top = get_command(app)
    children: dict[str, Any] = getattr(top, "commands", {})
    return "\n\n".join(
        [describe("sciup", top), *(describe(f"sciup {k}", v) for k, v in children.items())]
    )


def describe(name: str, command: Any) -> str:
    """One command: what it does, and a table of what can be given."""
    context = command.context_class(command, info_name=name)
    rows = [cells for p in command.params if (cells := row(p, context)) and not p.hidden]
    table = ["| | |", "|---|---|", *rows] if rows else []
    return "\n".join([f"## `{name}`", "", (command.help or "").strip(), "", *table])


def row(parameter: Any, context: Any) -> str:
    """One line of the table; empty for what has no help of its own."""
    record = parameter.get_help_record(context)
    if record is None:
        return ""
    left, right = (" ".join(text.split()).replace("|", "\\|") for text in record)
    return f"| `{left}` | {right} |"
