"""What a measurement does under another PSF, other noise, other seeds, another model."""
