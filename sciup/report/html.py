"""The little HTML that a page needs; every value is escaped here and nowhere else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1a1a1a; background: #fff;
  max-width: 70rem; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.6rem; margin-bottom: .3rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.4rem; border-bottom: 1px solid #ccc; }
p, li { max-width: 50rem; }
img { max-width: 100%; height: auto; }
figure { margin: 1rem 0; }
figcaption, .quiet { color: #555; font-size: .9rem; }
table { border-collapse: collapse; font-size: .9rem; margin: .8rem 0; display: block;
  overflow-x: auto; }
th, td { text-align: left; vertical-align: top; padding: .2rem .8rem .2rem 0;
  border-bottom: 1px solid #e4e4e4; overflow-wrap: anywhere; }
.verdict { padding: .8rem 1rem; border-left: .4rem solid; }
.verdict p { margin: .3rem 0; }
.good { background: #eaf6ec; border-color: #2e8540; }
.warn { background: #fff6e0; border-color: #c98a00; }
.bad { background: #fdeaea; border-color: #b3261e; }
textarea { width: 100%; height: 13rem; font: .9rem/1.4 ui-monospace, monospace; }
@media print { body { max-width: none; margin: 0; } figure, table { break-inside: avoid; } }
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole page."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """A heading.

    Examples
    --------
    >>> heading("a < b")
    '<h2>a &lt; b</h2>'
    """
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """A paragraph, of a class of the style."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(items: Iterable[str]) -> str:
    """A list."""
    return "<ul>" + "".join(f"<li>{escape(item)}</li>" for item in items) + "</ul>"


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table; without a head, the first column names the second."""
    lines = ["<table>"]
    if head:
        lines.append("<tr>" + "".join(f"<th>{escape(name)}</th>" for name in head) + "</tr>")
    for row in rows:
        cells = [f"<td>{escape(str(value))}</td>" for value in row]
        if not head:
            cells[0] = f"<th>{escape(str(row[0]))}</th>"
        lines.append("<tr>" + "".join(cells) + "</tr>")
    return "\n".join([*lines, "</table>"])


def picture(uri: str, caption: str) -> str:
    """A figure with its caption; `uri` holds the image itself."""
    text = escape(caption)
    return f'<figure><img src="{uri}" alt="{text}"><figcaption>{text}</figcaption></figure>'


def verdict(mood: str, headline: str, details: Iterable[str]) -> str:
    """A coloured box."""
    lines = "".join(paragraph(text) for text in details)
    return f'<div class="verdict {mood}"><p><strong>{escape(headline)}</strong></p>{lines}</div>'


def copyable(text: str) -> str:
    """Text to be copied."""
    return f"<textarea readonly>{escape(text)}</textarea>"
