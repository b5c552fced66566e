"""Sources and structures of a result, with the chance that they exist.

The package is not called as the function is: `sciup.detect` is `sciup.science.detect.run.detect`.
"""
