"""The 68 points of a face."""
