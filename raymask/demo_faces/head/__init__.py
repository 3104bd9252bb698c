"""A head: its form, its skin, and what is painted and grows on it."""
