import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[3] / "tools" / "protos.py"


def test_the_committed_modules_are_what_the_tool_writes() -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")
    checked = subprocess.run([sys.executable, TOOL, "--check"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
