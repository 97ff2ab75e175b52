"""qkjit.h in ctypes: the enums, structs and functions that ctypes_test.py drives."""
import ctypes
from ctypes import c_char, c_char_p, c_double, c_float, c_int, c_int32, c_int64, c_size_t, c_uint64, c_void_p

OK, UNSUPPORTED, INVALID_ARGUMENT = 0, 1, 2
FP32, INT32, INT64 = 2, 3, 4
INTERLEAVED, NEOX = 0, 1
POSITIONS_INT64, POSITIONS_INT32, POSITIONS_IMPLICIT = 0, 1, 2
PATH_NONE, PATH_FUSED, PATH_GENERIC, PATH_CPU = 0, 1, 2, 3
REASON_NONE, REASON_SHAPE, REASON_HOST_MEMORY, REASON_COUNT = 0, 1, 3, 11
STREAM_HOST = c_void_p(-1)


class Sized(ctypes.Structure):
    """A struct that begins with its own size, as the *_INIT macros make it."""

    def __init__(self, **fields):
        super().__init__(**fields)
        self.struct_size = ctypes.sizeof(self)


class Spec(Sized):
    _fields_ = [("struct_size", c_size_t), ("head_dim", c_int32), ("rope_dim", c_int32), ("layout", c_int),
                ("dtype", c_int), ("rounding", c_int), ("positions", c_int), ("q_norm", c_int),
                ("k_norm", c_int), ("weight", c_int), ("bias", c_int), ("weight_dtype", c_int), ("norm_order", c_int),
                ("table", c_int), ("table_width", c_int), ("placement", c_int), ("sections", c_int32 * 3),
                ("section_order", c_int), ("norm_scope", c_int), ("angles", c_int), ("weights", c_int), ("batch", c_int),
                ("v", c_int), ("table_heads", c_int), ("bounds", c_int), ("q_out", c_int), ("k_out", c_int),
                ("out_scale", c_int), ("cache", c_int), ("slots", c_int)]

    def __init__(self, **fields):
        super().__init__(**{"table": FP32, **fields})


class Dispatch(ctypes.Structure):
    _fields_ = [("path", c_int), ("reason", c_int)]


class Support(Sized):
    _fields_ = [("struct_size", c_size_t), ("dispatch", Dispatch), ("text", c_char * 256)]


class Options(Sized):
    _fields_ = [("struct_size", c_size_t), ("cache_dir", c_char_p), ("cache_path", c_char_p), ("nvrtc", c_char_p),
                ("compile", c_int), ("strict", c_int32), ("cpu_threads", c_int32), ("log", c_void_p),
                ("log_user_data", c_void_p), ("cache", c_int), ("cache_max_bytes", c_uint64), ("compile_threads", c_int32),
                ("cache_public_key", c_char_p)]


class Tensor(ctypes.Structure):
    _fields_ = [("data", c_void_p), ("dtype", c_int), ("rank", c_int32), ("shape", c_int64 * 4),
                ("strides", c_int64 * 4)]


class Frequencies(ctypes.Structure):
    _fields_ = [("base", c_double), ("linear_factor", c_double), ("yarn_factor", c_double), ("yarn_low", c_double),
                ("yarn_high", c_double), ("attention_factor", c_double)]

    def __init__(self, base=0, linear_factor=1, yarn_factor=1, yarn_low=0, yarn_high=0, attention_factor=1):
        super().__init__(base, linear_factor, yarn_factor, yarn_low, yarn_high, attention_factor)


class Grid(ctypes.Structure):
    _fields_ = [("extents", c_int64 * 3), ("first", c_int64 * 3)]


class Args(Sized):
    _fields_ = [("struct_size", c_size_t), ("spec", Spec), ("q", Tensor), ("k", Tensor), ("q_out", Tensor),
                ("k_out", Tensor), ("q_weight", Tensor), ("k_weight", Tensor), ("q_bias", Tensor), ("k_bias", Tensor),
                ("cos_sin_cache", Tensor), ("cos", Tensor), ("sin", Tensor), ("positions", Tensor),
                ("position_offset", c_int64), ("eps", c_float), ("path", c_int), ("frequencies", Frequencies),
                ("k_positions", Tensor), ("v", Tensor), ("v_out", Tensor), ("grid", Grid), ("segment_offsets", Tensor),
                ("position_error", Tensor), ("q_scale", Tensor), ("k_scale", Tensor), ("v_scale", Tensor),
                ("k_cache", Tensor), ("v_cache", Tensor), ("slot_mapping", Tensor)]


class Stats(Sized):
    _fields_ = [("struct_size", c_size_t), ("fused", c_uint64), ("generic", c_uint64), ("cpu", c_uint64),
                ("reasons", c_uint64 * REASON_COUNT), ("compiled", c_uint64), ("cache_hits", c_uint64),
                ("cache_rejected", c_uint64), ("failed", c_uint64),
                *((name, c_uint64) for name in ("requests", "memory_hits", "writable_hits", "read_only_hits", "further_hits",
                                                "misses", "lock_waits", "background_pending", "background_done")),
                *((name, c_double) for name in ("cache_read_ms", "compile_ms", "front_end_ms", "load_ms"))]


def tensor(buffer, dtype, shape, strides=None, offset=0):
    """A view of a ctypes array; strides and offset count elements, strides default to contiguous."""
    if strides is None:
        strides = [1] * len(shape)
        for i in range(len(shape) - 2, -1, -1):
            strides[i] = strides[i + 1] * shape[i + 1]
    pad = [0] * (4 - len(shape))
    data = ctypes.addressof(buffer) + offset * ctypes.sizeof(buffer._type_)
    return Tensor(data, dtype, len(shape), (c_int64 * 4)(*shape, *pad), (c_int64 * 4)(*strides, *pad))


def load(path):
    """The library with the type of every function declared."""
    library, pointer = ctypes.CDLL(path), ctypes.POINTER
    signatures = {
        "qkjit_status_string": (c_char_p, [c_int]),
        "qkjit_last_error": (c_char_p, []),
        "qkjit_version": (c_char_p, []),
        "qkjit_path_string": (c_char_p, [c_int]),
        "qkjit_reason_string": (c_char_p, [c_int]),
        "qkjit_reason_text": (c_char_p, [c_int]),
        "qkjit_spec_parse": (c_int, [c_char_p, pointer(Spec)]),
        "qkjit_spec_format": (c_int, [pointer(Spec), c_char_p, c_size_t, pointer(c_size_t)]),
        "qkjit_supports": (c_int, [pointer(Spec), pointer(Support)]),
        "qkjit_runtime_create": (c_int, [pointer(Options), pointer(c_void_p)]),
        "qkjit_runtime_destroy": (None, [c_void_p]),
        "qkjit_prepare": (c_int, [c_void_p, pointer(Spec), c_char_p]),
        "qkjit_launch": (c_int, [c_void_p, pointer(Args), c_void_p, pointer(Dispatch)]),
        "qkjit_prepare_dual": (c_int, [c_void_p, pointer(Spec), pointer(Spec), c_char_p]),
        "qkjit_launch_dual": (c_int, [c_void_p, pointer(Args), pointer(Args), c_void_p, pointer(Dispatch)]),
        "qkjit_wait_idle": (c_int, [c_void_p, c_int64]),
        "qkjit_get_stats": (c_int, [c_void_p, pointer(Stats)]),
    }
    for name, (result, arguments) in signatures.items():
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library
