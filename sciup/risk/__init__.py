"""Hallucination risk: how often the delivered image is wrong, and what of that is certified."""
