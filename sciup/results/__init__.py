"""Finished results: read back, and their draws repeated."""
