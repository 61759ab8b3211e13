"""The move from the original service, which kept its data with Django."""
