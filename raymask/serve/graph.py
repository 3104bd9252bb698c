"""`raymask.serve.on_ray.graph` by the name that stands as `import_path` in users' Serve configurations."""

from raymask.serve.on_ray.graph import CPUS, build

__all__ = ["CPUS", "build"]
