"""Tells by which code a state was folded: if that has changed, what it once folded is worth nothing."""

import hashlib
import inspect
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

from google.protobuf.message import Message

from services.upcasts import UPCASTS


def fingerprint(evolve: Callable[..., Any], messages: Iterable[type[Message]]) -> bytes:
    """Of the modules that fold, the upcasts, and the schema of `messages`: state and events.

    The modules are that of `evolve` and those of the same top package that it uses.
    """
    sources: dict[str, str] = {}
    for function in (evolve, *UPCASTS.values()):
        _add_sources(inspect.getmodule(function), sources)
    schemas: dict[str, bytes] = {}
    for message in messages:
        _add_schemas(message.DESCRIPTOR.file, schemas)
    parts = [text.encode() for _, text in sorted(sources.items())]
    parts += [schema for _, schema in sorted(schemas.items())]
    parts.append(
        repr([(name, each.__qualname__) for name, each in sorted(UPCASTS.items())]).encode()
    )
    return hashlib.sha256(b"\0".join(parts)).digest()


def _add_sources(module: ModuleType | None, found: dict[str, str]) -> None:
    if module is None or module.__name__ in found:
        return
    found[module.__name__] = inspect.getsource(module)
    for value in vars(module).values():
        if inspect.ismodule(value) or inspect.isfunction(value) or inspect.isclass(value):
            used = inspect.getmodule(value)
            if used and _top(used) == _top(module):
                _add_sources(used, found)


def _add_schemas(file: Any, found: dict[str, bytes]) -> None:
    if file.name not in found:
        found[file.name] = file.serialized_pb
        for imported in file.dependencies:
            _add_schemas(imported, found)


def _top(module: ModuleType) -> str:
    return module.__name__.partition(".")[0]
