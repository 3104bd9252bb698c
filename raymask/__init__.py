"""raymask: face recognition for people wearing masks, on Ray from the first photo to the HTTP answer."""

__version__ = "0.1.0"
