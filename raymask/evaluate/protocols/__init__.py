"""What is measured: each protocol, and the arithmetic behind it."""
