"""Protos of the tests' own, generated when they are imported."""

import importlib.util
import sys
import tempfile
from pathlib import Path
from types import ModuleType

from grpc_tools import protoc

PROTO = Path(__file__).parents[1] / "proto"
_generated = tempfile.TemporaryDirectory(prefix="bihuan-protos-")


def generate(folder: Path, *names: str) -> None:
    """Makes `<name>_pb2` and `<name>_pb2_grpc` importable for each `<name>.proto` in `folder`."""
    imports = Path(_generated.name) / "imports.binpb"
    imports.write_bytes(generator().third_party().SerializeToString())
    arguments = [f"--descriptor_set_in={imports}", f"-I{folder}", f"-I{PROTO}"]
    outputs = [f"--python_out={_generated.name}", f"--grpc_python_out={_generated.name}"]
    assert protoc.main(["protoc", *arguments, *outputs, *(f"{name}.proto" for name in names)]) == 0
    if _generated.name not in sys.path:
        sys.path.insert(0, _generated.name)


def generator() -> ModuleType:
    """proto/generate.py, which is no module of a package."""
    spec = importlib.util.spec_from_file_location("generate_proto", PROTO / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
