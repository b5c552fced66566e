"""Stamps around the positions of a catalogue, with the pixels of the whole result.

`sciup.cutouts` is the function `sciup.science.cutouts.run.cutouts`, and not this package.
"""
