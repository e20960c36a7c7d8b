"""Generates the protobuf modules beside each ``.proto`` file of the package; run it after changing one.

    python tools/protos.py            # writes *_pb2.py and *_pb2.pyi
    python tools/protos.py --check    # fails when what is committed is not what would be written

Needs ``grpcio-tools`` (protoc). OTLP's own definitions come from the installed ``opentelemetry-proto``, as descriptors.
No gRPC stubs are made: services are served and called through their descriptors.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc
from opentelemetry.proto.trace.v1 import trace_pb2

SOURCE = Path(__file__).resolve().parent.parent / "src"


def main() -> int:
    """Generates or checks; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    check = parser.parse_args().check
    protos = sorted(SOURCE.glob("pilothouse/**/*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        out = Path(scratch) / "out"
        out.mkdir()
        generate(protos, Path(scratch), out)
        generated = {path.relative_to(out): path.read_text() for path in sorted(out.rglob("*_pb2.py*"))}
    stale = [path for path, text in generated.items() if not _same(SOURCE / path, text)]
    for path in stale:
        print(f"{'stale' if check else 'wrote'} {path}")
        if not check:
            (SOURCE / path).write_text(generated[path])
    return 1 if check and stale else 0


def generate(protos: list[Path], scratch: Path, out: Path) -> None:
    """Runs protoc over ``protos`` into ``out``."""
    imports = FileDescriptorSet()
    add_with_dependencies(imports, trace_pb2.DESCRIPTOR, set())
    (scratch / "otlp.binpb").write_bytes(imports.SerializeToString())
    status = protoc.main(
        [
            "protoc",
            f"--descriptor_set_in={scratch / 'otlp.binpb'}",
            f"--proto_path={SOURCE}",
            f"--proto_path={Path(protoc.__file__).parent / '_proto'}",
            f"--python_out={out}",
            f"--pyi_out={out}",
            *(str(path.relative_to(SOURCE)) for path in protos),
        ]
    )
    if status:
        sys.exit(f"protoc failed with status {status}")


def add_with_dependencies(target: FileDescriptorSet, file: FileDescriptor, seen: set[str]) -> None:
    """Adds ``file`` after everything it imports."""
    if file.name in seen:
        return
    seen.add(file.name)
    for dependency in file.dependencies:
        add_with_dependencies(target, dependency, seen)
    file.CopyToProto(target.file.add())


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text() == text


if __name__ == "__main__":
    sys.exit(main())
