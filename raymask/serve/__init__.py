"""Serving: recognition over HTTP, by Ray Serve deployments that are one graph."""
