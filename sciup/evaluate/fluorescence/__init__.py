"""Fluorescence micrographs: the reference protocol, classical methods, scores, tables."""
