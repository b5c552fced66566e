"""Any quantity of a result, measured on every draw: a value with an interval.

The package is not named after the function `sciup.measure`, which it would hide.
"""
