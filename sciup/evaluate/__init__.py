"""Figures of merit, baselines, tables and figures: what ``sciup evaluate`` shows.

The words of the tables are explained in `sciup.evaluate.fluorescence.scores`.
"""
