"""The night sky: simulated fields, real images, photometry, detection."""
