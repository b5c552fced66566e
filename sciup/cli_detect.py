"""``sciup detect``."""
