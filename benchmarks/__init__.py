"""Measure the speed of the service as ratios to peers, which are measured in the same run."""
