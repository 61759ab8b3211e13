"""What runs in the background: payments, and the sweep that finds forgotten ones."""
