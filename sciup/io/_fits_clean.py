"""Headers that do not follow the standard, and what astropy says about them."""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sciup.io._remote_file import open_stream

logger = logging.getLogger("sciup")


@contextmanager
def quiet(source: str) -> Iterator[None]:
    """Send the warnings of astropy to the log: they concern the file, not the user's program."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(w.message) for w in caught):
                logger.debug("%s: %s", source, " ".join(text.split()))


@contextmanager
def open_hdus(local: str, **options: Any) -> Iterator[Any]:
    """`astropy.io.fits.open`, which by itself leaves damaged files open when it gives up.

    `local` may be an address, of which only what is looked at is fetched.
    """
    from astropy.io import fits

    with open_stream(local) as stream, fits.open(stream, **options) as hdus:
        yield hdus


def clean_header(header: Any, source: str) -> Any:
    """A copy that follows the standard: bad cards are repaired where it is clear how, or dropped.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Perhaps with line breaks, letters that are not ASCII, or values that cannot be read.
    source : str
        Name of the file, for the log.
    """
    from astropy.io import fits
    from astropy.io.fits.verify import VerifyError

    clean = fits.Header()
    with quiet(source):
        for card in header.copy().cards:
            keyword = str(card.keyword)
            try:
                card.verify("silentfix")
                new = _clean_card(card)
                _ = new.image  # formats the card, and so finds what cannot be written
                new.verify("exception")
            except (VerifyError, ValueError, TypeError, OverflowError) as error:
                logger.warning(
                    "%s: header card %s is dropped: %s",
                    source,
                    keyword,
                    " ".join(str(error).split()),
                )
                continue
            clean.append(new, end=True)
    return clean


def _clean_card(card: Any) -> Any:
    from astropy.io import fits

    keyword, value, comment = card.rawkeyword, card.rawvalue, card.comment
    if isinstance(value, str):
        value = ascii_text(value)
    elif isinstance(value, (float, complex)) and not math.isfinite(abs(value)):
        raise ValueError(f"its value is {value}")
    if len(keyword) > 8 or " " in keyword:
        keyword = f"HIERARCH {keyword}"
    return fits.Card(keyword, value, ascii_text(str(comment or "")))


def ascii_text(text: str) -> str:
    """Printable ASCII, as FITS demands."""
    spaced = "".join(c if c.isprintable() else " " for c in text)
    return spaced.encode("ascii", "backslashreplace").decode()
