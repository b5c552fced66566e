"""Figures of merit, baselines, and the tables that model cards quote.

``python -m sciup.evaluate --help`` shows the commands. The words of the tables are explained in
`sciup.evaluate.metrics`.
"""
