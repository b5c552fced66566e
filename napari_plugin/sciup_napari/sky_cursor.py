"""Sky coordinates of what is under the cursor, in the corner of the canvas.

napari writes its status bar anew on every move of the mouse, so the text overlay shows them.
"""

from __future__ import annotations

import logging
import weakref
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sciup_napari.place import camera_of

logger = logging.getLogger("sciup")

_installed: dict[int, Any] = {}
_turned: dict[int, Any] = {}
_kept: dict[int, Any] = {}
_rotations: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def install(viewer: Any) -> bool:
    """Show sky coordinates in a viewer from now on; False if it does so already.

    Parameters
    ----------
    viewer : napari.Viewer or napari.components.ViewerModel
    """
    if id(viewer) in _installed:
        return False
    _installed[id(viewer)] = weakref.finalize(viewer, _forget, id(viewer))
    shown = _Shown(viewer)
    viewer.cursor.events.position.connect(shown.update)
    viewer.layers.events.removed.connect(shown.update)
    _kept[id(viewer)] = shown
    return True


def _forget(viewer: int) -> None:
    """A closed viewer's number may be given to a new one."""
    for known in (_installed, _turned, _kept):
        known.pop(viewer, None)


class _Shown:
    """The text in the corner of one viewer, which is left alone where somebody else uses it."""

    def __init__(self, viewer: Any) -> None:
        self._viewer = weakref.ref(viewer)
        self._text = ""

    def update(self, _event: Any = None) -> None:
        """Write the position under the cursor."""
        viewer = self._viewer()
        if viewer is None:
            return
        overlay = text_overlay(viewer)
        if overlay.text and overlay.text != self._text:
            return
        words = words_at(viewer, viewer.cursor.position)
        if words:
            overlay.position = "top_left"  # notifications come up at the right bottom
        if overlay.text != words:
            overlay.text = words
        if overlay.visible != bool(words):
            overlay.visible = bool(words)
        self._text = words


def text_overlay(viewer: Any) -> Any:
    """The overlay for text, which moved in napari 0.9."""
    canvas = getattr(viewer, "canvas", None)
    return viewer.text_overlay if canvas is None else canvas.overlays.text


def orient(viewer: Any, sky: bool) -> None:
    """Before the first layer comes: the first row of a FITS image is shown at the bottom.

    So the sky is not mirrored. A viewer that was turned here is turned back for the next image of
    another kind; one that shows something is never turned.
    """
    if len(viewer.layers):
        return
    view = camera_of(viewer)
    if sky and id(viewer) not in _turned:
        _turned[id(viewer)] = view.orientation2d
        view.orientation2d = ("up", "right")
    elif not sky and id(viewer) in _turned:
        view.orientation2d = _turned.pop(id(viewer))


def words_at(viewer: Any, position: Any) -> str:
    """Sky coordinates of a world position on the topmost layer there; empty if it has none."""
    for layer in reversed(viewer.layers):
        wcs = layer.metadata.get("wcs") if isinstance(layer.metadata, dict) else None
        if wcs is None or not layer.visible:
            continue
        at = np.asarray(layer.world_to_data(position), float)[-2:]
        shape = (layer.data.shapes[0] if layer.multiscale else layer.data.shape)[-2:]
        if ((at >= -0.5) & (at <= np.asarray(shape) - 0.5)).all():
            return sky_words(wcs, float(at[1]), float(at[0]))
    return ""


def sky_words(wcs: Any, x: float, y: float) -> str:
    """A position in words: ICRS where it can be had, else the coordinates of the WCS itself.

    Parameters
    ----------
    wcs : astropy.wcs.WCS
        Of two axes.
    x, y : float
        Pixel, counted from 0 at the centre of the first one.

    Examples
    --------
    >>> from astropy.wcs import WCS
    >>> wcs = WCS(naxis=2)
    >>> wcs.wcs.ctype, wcs.wcs.crval = ["RA---TAN", "DEC--TAN"], [150.0, -2.5]
    >>> print(sky_words(wcs, -1.0, -1.0))
    RA 10h00m00.000s  Dec −02°30′00.00″
    (150.000000° −2.500000° ICRS)
    """
    try:
        first, second = (float(v) for v in wcs.all_pix2world(x, y, 0))
    except Exception as error:  # noqa: BLE001 - wcslib has many ways to refuse a position
        logger.debug("no sky coordinates at %s, %s: %s", x, y, error)
        return ""
    lon, lat = (second, first) if wcs.wcs.lng == 1 else (first, second)
    if not np.isfinite([lon, lat]).all():
        return ""
    rotation = to_icrs(wcs)
    if rotation is None:
        names = [str(wcs.wcs.ctype[i]).split("-")[0] for i in (wcs.wcs.lng, wcs.wcs.lat)]
        return f"{names[0]} {_degrees(lon)}  {names[1]} {_degrees(lat)}"
    a, d = np.radians([lon, lat])
    u, v, w = rotation @ np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    ra = float(np.degrees(np.arctan2(v, u))) % 360
    dec = float(np.degrees(np.arctan2(w, np.hypot(u, v))))
    return (
        f"RA {_sexagesimal(ra / 15, 'hms', 3, 24)}  Dec {_signed(dec)}"
        f"\n({ra:.6f}° {_degrees(dec, 6)} ICRS)"
    )


def to_icrs(wcs: Any) -> NDArray[np.float64] | None:
    """The rotation from the frame of a WCS to ICRS; None if the frame is not of the stars.

    FK5, galactic and ecliptic frames are rotations of ICRS. (FK4 is one to half an arcsec.) Three
    points, once, tell it: a coordinate object for every move of the mouse would be felt.
    """
    if wcs not in _rotations:
        _rotations[wcs] = _rotation(wcs)
    found: NDArray[np.float64] | None = _rotations[wcs]
    return found


def _rotation(wcs: Any) -> NDArray[np.float64] | None:
    from astropy.coordinates import SkyCoord
    from astropy.wcs.utils import wcs_to_celestial_frame

    try:
        frame = wcs_to_celestial_frame(wcs)
        axes = SkyCoord([0, 90, 0], [0, 0, 90], unit="deg", frame=frame).icrs.cartesian.xyz.value
    except Exception as error:  # noqa: BLE001 - the Sun, planets, frames unknown to astropy
        logger.debug("not a frame of the stars: %s", error)
        return None
    return np.asarray(axes, np.float64)


def _sexagesimal(value: float, marks: str, digits: int, turn: int = 0) -> str:
    """A number of hours or degrees with minutes and seconds; seconds never show as 60."""
    ticks = round(abs(value) * 3600 * 10**digits)
    whole, part = divmod(ticks, 10**digits)
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    hours = hours % turn if turn else hours
    return f"{hours:02d}{marks[0]}{minutes:02d}{marks[1]}{seconds:02d}.{part:0{digits}d}{marks[2]}"


def _signed(value: float) -> str:
    return ("−" if value < 0 else "+") + _sexagesimal(value, "°′″", 2)


def _degrees(value: float, digits: int = 5) -> str:
    return f"{value:+.{digits}f}°".replace("-", "−")


__all__ = ["install", "orient", "sky_words", "text_overlay", "to_icrs", "words_at"]
