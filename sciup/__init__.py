"""Super-resolution that scientists can trust."""
