"""How fast the service is, as ratios to peers that are measured beside it in the same run."""
