"""Whole photo to embedding: recognisers by name. No Ray, no training."""
