"""The photo of a head: the camera, the light, and what stands around it."""
