"""Public helpers for tests of sciup and of what is built on it.

`sciup.testing.strategies` needs hypothesis, which ``sciup[dev]`` installs.
"""
