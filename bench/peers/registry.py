"""The list of contenders, without what they need."""
import importlib

# The order of the columns. A module is imported when its contender is wanted: its package may be absent.
CONTENDERS = {
    "empty": ("floor", "Empty"),
    "copy": ("floor", "Copy"),
    "copy.cs": ("floor", "StreamingCopy"),
    "libqkjit": ("libqkjit", "LibQkjit"),
    "sglang": ("sglang", "Fused"),
    "split": ("sglang", "Split"),
    "vllm": ("vllm", "Fused"),
    "compile": ("pytorch", "Compiled"),
    "eager": ("pytorch", "Eager"),
    "flashinfer": ("flashinfer", "Fused"),
}


def load(name: str, options):
    """The contender; raises what its package's import raises."""
    module, kind = CONTENDERS[name]
    return getattr(importlib.import_module(f"peers.{module}"), kind)(options)
