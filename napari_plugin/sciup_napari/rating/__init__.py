"""Blind rating: people judge the results of several methods without knowing which is which.

`plan`, `pictures`, `study`, `record` and `scores` know neither Qt nor napari; `widget` shows them.
"""
