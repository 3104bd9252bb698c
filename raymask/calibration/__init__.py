"""Thresholds that hold for a search: how often strangers reach a score, by the size of the gallery."""
