"""Plan, read, sample, accumulate, write."""
