"""Pages and texts from Jinja templates: a name that is missing is an error, never a blank."""

from collections.abc import Callable

import jinja2


def template_environment(
    package: str, *, html: bool = True, **filters: Callable[..., object]
) -> jinja2.Environment:
    """Returns the environment of a package's ``templates`` folder.

    Args:
        package: Such as ``"rl_datagen.report"``.
        html: Escape values for HTML; otherwise the text is Markdown, and its lines stay as they
            are.
        filters: By name.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(package),
        undefined=jinja2.StrictUndefined,
        autoescape=html,
        trim_blocks=html,
        lstrip_blocks=html,
        keep_trailing_newline=not html,
    )
    environment.filters.update(filters)  # pyright: ignore[reportUnknownMemberType]
    return environment
