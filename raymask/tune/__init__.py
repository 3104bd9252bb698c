"""Searching for the settings of a training: many short runs, the next chosen by what the earlier ones came to."""
