"""Prepared faces as they lie on disk."""
