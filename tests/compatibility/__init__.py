"""The comparison of the API with the one of the last release."""
