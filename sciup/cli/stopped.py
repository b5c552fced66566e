"""What Ctrl-C leaves of a command, in one line."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from typer.core import TyperCommand

from sciup.console import console

NOTHING = "no result was written to {out}"
KEPT = "what was done is kept"
RESUME, AGAIN = "go on with --resume", "the same command goes on"
BEGINS_ANEW = "it was not finished; the same command begins anew"
LEFT = {
    "upscale": f"{KEPT}; {RESUME}",
    "cutouts": f"{KEPT}; {RESUME}",
    "batch": f"{KEPT}; {AGAIN}",
    "train": f"the last checkpoint is kept; {AGAIN}",
    "calibrate": f"every field that was done is kept in {{out}}; {AGAIN}",
    "compare": NOTHING,
    "explore": NOTHING,
}
"""What is left of commands; of others nothing that goes on."""


class Stoppable(TyperCommand):
    """A command that says what Ctrl-C left of it; the exit code is 130, as in a shell."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            words = LEFT.get(self.name or "", BEGINS_ANEW).format(out=ctx.params.get("out"))
            console.print(f"stopped: {escape(words)}", soft_wrap=True)
            raise


__all__ = ["Stoppable"]
