"""A module that cannot be imported."""

raise RuntimeError("its driver is missing")
