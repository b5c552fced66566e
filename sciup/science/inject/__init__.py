"""Sources of known light put into a real input, and what becomes of them.

The package is not called as the function is: `sciup.inject` is `sciup.science.inject.run.inject`.
"""
