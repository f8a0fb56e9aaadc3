import importlib.util
import sys
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def fake():
    """The module ``fake_generator`` beside this file, which also runs as a program."""
    path = Path(__file__).with_name("fake_generator.py")
    spec = importlib.util.spec_from_file_location("fake_generator", path)
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up there.
    sys.modules["fake_generator"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["fake_generator"]
