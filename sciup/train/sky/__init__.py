"""Simulated night-sky truths: optics, stamps of galaxies, scenes."""
