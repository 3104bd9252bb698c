"""The service over HTTP, and its page. No Ray."""
