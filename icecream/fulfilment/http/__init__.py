"""Fulfilment over HTTP, for staff."""
