"""Reads our YAML strictly, so that whoever edits a file of law learns what is wrong and where."""

from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


class _Loader(yaml.SafeLoader):
    """Refuses a key given twice, as YAML does; PyYAML would keep the last in silence."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is given twice", problem_mark=key.start_mark
                )
            seen.add(key.value)
        return node


def read(text: str, name: str) -> Any:
    """What the YAML `text` holds. ValueError names the file `name` and what is wrong in it."""
    try:
        return yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError) as error:
        raise ValueError(f"{name}: not YAML: {error}") from error


def checked(model: type[Model], value: Any, name: str) -> Model:
    """`value` as a `model`. ValueError names `name`, and the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ValueError(": ".join(filter(None, [name, where, first["msg"]]))) from error
