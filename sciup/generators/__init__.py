"""Networks that draw sharp images."""
