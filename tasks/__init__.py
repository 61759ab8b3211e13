"""Background work: payments, and the sweep that finds forgotten payments."""
