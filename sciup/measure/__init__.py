"""Any quantity of a result, measured on every draw: a value with an interval."""
