"""What every training uses. No Ray."""
