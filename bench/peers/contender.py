"""What a contender is."""
import importlib.metadata
import importlib.util
import sys
import types
from typing import Callable

import torch

from peers.cases import Case
from peers.data import Data

Launch = Callable[[], tuple[torch.Tensor, torch.Tensor] | None]  # returns the q and k that it made


class Contender:
    note = ""               # one line of the legend
    same_operation = True   # as libqkjit's: checked before it is timed
    packages: tuple[str, ...] = ()

    def __init__(self, options):
        """Imports what it needs; raises where that is not to be had."""

    def versions(self) -> dict[str, str]:
        """Of what it times."""
        return {name: version(name) for name in self.packages}

    def refusal(self, case: Case) -> str | None:
        """Why it does not take this case."""
        return None

    def prepare(self, case: Case) -> None:
        """Compiles what the case needs. Called from a thread of its own, so that compilers run side by side."""

    def launches(self, case: Case, data: Data) -> list[Launch]:
        """One call for each buffer set of `data`."""
        raise NotImplementedError


def version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:  # run from a source tree
        return "of unknown version"


def skip_init(package: str) -> None:
    """Lets `import package.part` run without package/__init__.py, which would import all of a serving engine."""
    if package in sys.modules:
        return
    spec = importlib.util.find_spec(package)
    if spec is None:
        raise ModuleNotFoundError(f"No module named '{package}'")
    module = types.ModuleType(package)
    module.__spec__, module.__path__ = spec, list(spec.submodule_search_locations)
    sys.modules[package] = module
