"""The templates and styles that lie beside this file."""

from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

__all__ = ["resource", "template"]


def resource(name: str) -> str:
    """The text of a file of this room, such as "page.css", the style that all pages share."""
    return (files("excise.report") / name).read_text(encoding="utf-8")


def template(name: str) -> Template:
    """A template of this room; what it is given is escaped, and a name that it is not given is an error."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(resource(name))
