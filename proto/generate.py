"""Generates gen/ from proto/; `--check` says instead whether gen/ has drifted.

Third-party protos are not copied into the repository: their descriptors come from the Python
packages that ship them, as one descriptor set that protoc and buf both read.
"""

import argparse
import filecmp
import shutil
import sys
import tempfile
from pathlib import Path

from google.api import annotations_pb2, client_pb2, field_behavior_pb2, resource_pb2
from google.protobuf import (
    descriptor_pb2,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
)
from google.protobuf.descriptor import FileDescriptor
from google.rpc import error_details_pb2, status_pb2
from google.type import date_pb2
from grpc_tools import protoc
from protovalidate._gen.buf.validate import validate_pb

HERE = Path(__file__).parent
GEN = HERE.parent / "gen"
BIN = Path(sys.executable).parent
IMPORTED = (
    descriptor_pb2,
    duration_pb2,
    field_mask_pb2,
    timestamp_pb2,
    date_pb2,
    annotations_pb2,
    client_pb2,
    field_behavior_pb2,
    resource_pb2,
    status_pb2,
    error_details_pb2,
)


def third_party() -> descriptor_pb2.FileDescriptorSet:
    """The descriptors that our protos import, each after what it imports itself."""
    files: dict[str, descriptor_pb2.FileDescriptorProto] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        proto = descriptor_pb2.FileDescriptorProto()
        file.CopyToProto(proto)
        files.setdefault(file.name, proto)

    validate = descriptor_pb2.FileDescriptorProto.FromString(validate_pb._DESC.proto.to_binary())
    for module in IMPORTED:
        add(module.DESCRIPTOR)
    files[validate.name] = validate
    return descriptor_pb2.FileDescriptorSet(file=files.values())


def run_protoc(*arguments: str) -> None:
    """Runs protoc in this process; exits with its code when it refuses."""
    plugins = [f"--plugin={BIN / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    if code := protoc.main(["protoc", *plugins, *arguments]):
        sys.exit(code)


def generate(target: Path) -> None:
    """Writes the Python modules, their type stubs and the schema image into `target`."""
    with tempfile.TemporaryDirectory() as scratch:
        imports = Path(scratch) / "imports.binpb"
        imports.write_bytes(third_party().SerializeToString())
        ours = sorted(str(path.relative_to(HERE)) for path in HERE.rglob("*.proto"))
        inputs = [f"--descriptor_set_in={imports}", f"-I{HERE}"]
        run_protoc(
            *inputs,
            f"--python_out={target}",
            f"--mypy_out=quiet:{target}",
            *ours,
            "buf/validate/validate.proto",
        )
        services = [name for name in ours if "\nservice " in (HERE / name).read_text()]
        run_protoc(
            *inputs,
            f"--grpc_python_out={target}",
            f"--mypy_grpc_out=quiet,only_async:{target}",
            *services,
        )
        run_protoc(
            *inputs,
            "--include_imports",
            "--include_source_info",
            f"--descriptor_set_out={target / 'bihuan.binpb'}",
            *ours,
        )


def differences(left: Path, right: Path) -> list[str]:
    """Relative paths that differ between two folders, in either direction."""
    names = {p.relative_to(root) for root in (left, right) for p in root.rglob("*") if p.is_file()}
    return sorted(
        str(name)
        for name in names
        if "__pycache__" not in name.parts
        and not (
            (left / name).exists()
            and (right / name).exists()
            and filecmp.cmp(left / name, right / name, shallow=False)
        )
    )


def main() -> None:
    """Command line: no argument writes gen/, --check compares."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="fail if gen/ is not what proto/ says")
    if parser.parse_args().check:
        with tempfile.TemporaryDirectory() as scratch:
            generate(Path(scratch))
            if drift := differences(Path(scratch), GEN):
                sys.exit("gen/ has drifted from proto/; run `make gen`:\n" + "\n".join(drift))
        return
    with tempfile.TemporaryDirectory(dir=HERE.parent) as scratch:
        fresh = Path(scratch) / "gen"
        fresh.mkdir()
        generate(fresh)
        shutil.rmtree(GEN, ignore_errors=True)
        fresh.rename(GEN)


if __name__ == "__main__":
    main()
