"""Invented people: faces that belong to nobody, rendered from numbers, with exact landmarks.

`Person.invent(seed)` makes somebody up, `Shot.invent(seed)` a pose, a light and a place, `render` takes the photo and
`write_demo_faces` fills a folder tree `ROOT/IDENTITY/NAME.jpg` with many of them. Same seeds, same bytes.
"""

from raymask.demo_faces.person import Person
from raymask.demo_faces.photo import DemoPhoto
from raymask.demo_faces.shot import Shot
from raymask.demo_faces.write import render, write_demo_faces

__all__ = ["DemoPhoto", "Person", "Shot", "render", "write_demo_faces"]
