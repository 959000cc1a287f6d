"""Python files that the user wrote: the factory of a network, or a distortion that registers itself."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from deepcorrect.base.errors import DeepcorrectError
from deepcorrect.base.seeding import own_random_state


def load_file(path: Path) -> ModuleType:
    """Import a Python file by path, once per process; the global random state is left as it was.

    Raises:
        DeepcorrectError: the file is missing or fails to import.
    """
    path = path.expanduser().resolve()
    name = f"deepcorrect_user_{path.stem}_{abs(hash(path))}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if not path.is_file() or spec is None or spec.loader is None:
        raise DeepcorrectError(f"{path}: no such Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with own_random_state(0):
            spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise DeepcorrectError(f"{path}: importing it failed: {type(error).__name__}: {error}") from error
    return module
