"""Rows of prepared faces to batches."""
