"""How often the intervals of measurements hold the truth, on fields where it is known."""
