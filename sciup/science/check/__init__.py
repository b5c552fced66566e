"""A result against what it has not seen: a repeated exposure, or a sharper image."""
