"""The napari plugin of sciup: enhance what you look at, and see what to believe.

Importing it imports neither torch nor Qt nor napari; each part loads what it needs when it is used.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
