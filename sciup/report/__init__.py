"""One page that shows what a finished result is worth, and says how it was made."""
