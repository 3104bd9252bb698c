"""The service itself: no Ray, no HTTP."""
