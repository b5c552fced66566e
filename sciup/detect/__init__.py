"""Sources and structures of a result, with the chance that they exist."""
