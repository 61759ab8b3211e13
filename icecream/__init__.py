"""An ice-cream distributor's order service."""

__version__ = "0.1.0"
