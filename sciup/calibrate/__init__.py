"""From fields with a known truth to the calibration of a model."""
