"""What was measured, as a table and as pages."""
