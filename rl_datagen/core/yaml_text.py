"""YAML from people: bounded, and every fault of it one sentence."""

from typing import Any, cast

import yaml

from rl_datagen.core.errors import ConfigError, first_line, shown

MAX_BYTES = 1_000_000
"""Of one document: a thousand times what settings need."""

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MANY = 10_000
_MAX_DEPTH = 100  # of values inside values
_MAX_VALUES = 100_000  # each alias counted with all that it stands for


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without dates: no setting is one, and ``2026-11-28`` may be a name."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Returns what a node says; PyYAML lets what Python thinks of it through as it is."""
        try:
            return cast("Any", super()).construct_object(node, deep)
        except (ValueError, LookupError, ArithmeticError, AttributeError, TypeError) as error:
            kind = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"{shown(str(node.value), 40)!r} is no {kind}", node.start_mark
            ) from error


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in known if tag != "tag:yaml.org,2002:timestamp"]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str | bytes, name: str) -> Any:
    """Returns what YAML says.

    Args:
        text: One document.
        name: What the text is, with quotes, for the message.

    Raises:
        ConfigError: It is not YAML, too large, or its aliases stand for themselves or for too much.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(
            f"{name} is too large for settings: more than {MAX_BYTES:,} bytes. Give a YAML file "
            "of settings."
        )
    try:
        node = _compose(text)
        if node is None:
            return None
        _size(node, {})
        loader: Any = _Loader("")
        return loader.construct_document(node)
    except RecursionError:
        raise ConfigError(f"{name} is not YAML of settings: it is nested too deeply.") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(
            f"{name} is not YAML that can be read: {shown(first_line(error))}{_where(error)}. "
            "Put text with special characters in quotes."
        ) from None


def _compose(text: str | bytes) -> yaml.Node | None:
    """Returns the nodes of a document; takes no more than a few times as long as its bytes do.

    PyYAML looks at all that is still open for each token of a list or object on one line, and
    composes before anything is counted.
    """
    depth, values = 0, 0
    untyped: Any = yaml
    try:
        for event in untyped.parse(text, _Parser):
            opens = isinstance(event, yaml.CollectionStartEvent)
            depth += opens - isinstance(event, yaml.CollectionEndEvent)
            values += opens or isinstance(event, yaml.ScalarEvent | yaml.AliasEvent)
            if depth > _MAX_DEPTH:
                raise RecursionError
            if values > _MAX_VALUES:
                where = _at(event.start_mark)
                raise ValueError(f"it holds more than {_MAX_VALUES:,} values{where}")
    except yaml.YAMLError:
        if values > _MANY:
            raise
    return untyped.compose(text, _Loader)  # whose errors say more of where they are


def _size(node: yaml.Node, known: dict[int, int | None]) -> int:
    """Returns how many values a node and all below it are, aliases written out.

    Raises:
        ConfigError: An alias stands for what it is a part of, or they stand for too many.
    """
    if id(node) in known:
        size = known[id(node)]
        if size is None:
            raise ValueError(f"an alias stands for what it is a part of{_at(node.start_mark)}")
        return size
    known[id(node)] = None
    size = 1 + sum(_size(child, known) for child in _children(node))
    if size > _MAX_VALUES:
        raise ValueError(
            f"it holds more than {_MAX_VALUES:,} values, its aliases written out"
            f"{_at(node.start_mark)}"
        )
    known[id(node)] = size
    return size


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [child for pair in node.value for child in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _where(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None)
    said = f" ({shown(str(problem))})" if problem and problem not in first_line(error) else ""
    return said + (_at(mark) if mark else "")


def _at(mark: Any) -> str:
    return f", line {mark.line + 1}, column {mark.column + 1}"
