"""``sciup measure``."""
