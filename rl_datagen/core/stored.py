"""What an earlier call has left for the one that goes on: every fault of it is one paragraph."""

from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, WrapValidator

from rl_datagen.core.errors import UserError, explained, first_line
from rl_datagen.core.yaml_text import parse_yaml

Value = TypeVar("Value")

Count = Annotated[int, Field(ge=0, lt=2**63)]
Seconds = Annotated[float, Field(ge=0, le=1e11)]
"""A time span, or a time since 1970 that a calendar has."""
Rate = Annotated[float, Field(ge=0, le=1)]

OBJECT = TypeAdapter(dict[str, Any])
"""The form of any JSON object."""


class Open(BaseModel):
    """A JSON object of which some keys have a meaning here; a later release may add to it."""

    model_config = ConfigDict(extra="allow", strict=True, allow_inf_nan=False)


def object_form(model: type[Open]) -> TypeAdapter[dict[str, Any]]:
    """Returns the form of a JSON object that a model accepts; it stays the dictionary it is."""
    return TypeAdapter(_kept(model))


def list_form(model: type[Open]) -> TypeAdapter[list[dict[str, Any]]]:
    """Returns the form of a list of such objects."""
    adapter: Any = TypeAdapter
    return adapter(list[_kept(model)])


def _kept(model: type[Open]) -> Any:
    return Annotated[model, WrapValidator(lambda value, check: check(value) and value)]


def read_stored(path: Path, form: TypeAdapter[Value], advice: str) -> Value:
    """Returns what a JSON file holds.

    Args:
        path: The file.
        form: What it may hold.
        advice: What to do about damage, as whole sentences.

    Raises:
        UserError: It cannot be read, is not JSON, or holds something else.
    """
    return parse_stored(read_bytes(path, advice), str(path), form, advice)


def read_stored_yaml(path: Path, advice: str) -> dict[str, Any]:
    """Returns the settings that a YAML file holds.

    Raises:
        UserError: As ``read_stored``.
    """
    content = read_bytes(path, advice)
    try:
        return OBJECT.validate_python(parse_yaml(content, str(path)))
    except ValidationError as error:
        raise damaged(str(path), explained(error), advice) from None
    except UserError as error:
        raise UserError(f"{error} {advice}") from None


def parse_stored(content: str | bytes, name: str, form: TypeAdapter[Value], advice: str) -> Value:
    """Returns what the content of a JSON file says.

    Args:
        content: The file's.
        name: The file, for the message.
        form: As for ``read_stored``.
        advice: As for ``read_stored``.

    Raises:
        UserError: As ``read_stored``.
    """
    try:
        return form.validate_json(content, strict=True)
    except ValueError as error:
        raise damaged(name, explained(error), advice) from None


def read_bytes(path: Path, advice: str) -> bytes:
    """Returns a file's content.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise damaged(str(path), error.strerror or first_line(error), advice) from None


def damaged(name: str, reason: str, advice: str) -> UserError:
    """Returns what to say of a file that something else than this program has changed."""
    return UserError(f"{name} is refused: {reason}. {advice}")
