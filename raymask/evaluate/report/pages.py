"""HTML pages that refer to nothing outside themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def render_page(template: str, **values: Any) -> str:
    """A template of this package, filled in; text is escaped, and a value that is missing is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("raymask.evaluate.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(**values)


def said_settings(table: dict[str, Any]) -> Sequence[tuple[str, str]]:
    """The settings and versions in a `table.json`, as a page lists them."""
    said = {
        name: ", ".join(map(str, value)) if isinstance(value, tuple) else value
        for name, value in table["config"].items()
        if value is not None
    }
    together = ", ".join(f"{name} {version}" for name, version in table["versions"].items())
    return [*((name.replace("_", " "), str(value)) for name, value in said.items()), ("versions", together)]
