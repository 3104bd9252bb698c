"""Photos of strangers: thresholds found on them, and what thresholds are worth to others of them."""
