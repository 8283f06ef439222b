"""Reads our YAML strictly, so that whoever edits a file of law learns what is wrong and where."""

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class NotYaml(ValueError):
    """The text of a file is not YAML as we take it: `problem`, in a line, at `line`, from 1."""

    def __init__(self, name: str, line: int, problem: str) -> None:
        super().__init__(f"{name}: line {line}: not YAML: {problem}")
        self.line = line
        self.problem = problem


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, as YAML does; PyYAML would keep the last in silence. Says where a
    value is none of its kind, such as the 30th of February.
    """

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise _at(key, f"{key.value} is given twice")
            seen.add(key.value)
        return node

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise _at(node, f"{node.value}: {error}") from error


def read(text: str, name: str) -> Any:
    """What the YAML `text` holds. NotYaml names the file `name`, and what is wrong in it where."""
    return _strictly(yaml.load, text, name)


def tree(text: str, name: str) -> yaml.Node | None:
    """The nodes of the YAML `text`, which know their lines; None if it is empty. NotYaml as `read`."""
    root: yaml.Node | None = _strictly(yaml.compose, text, name)
    return root


def checked(model: type[Model], value: Any, name: str) -> Model:
    """`value` as a `model`. ValueError names `name`, and the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(": ".join(filter(None, [name, where, first["msg"]]))) from error


def _strictly(how: Any, text: str, name: str) -> Any:
    try:
        return how(text, _Loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise NotYaml(name, line, error.problem or str(error.context)) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotYaml(name, line, f"{error.reason}: {error.character!r}") from error
    except RecursionError as error:
        raise NotYaml(name, 1, "nested too deep") from error


def _at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
