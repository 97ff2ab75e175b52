"""A kernel out of a .cu file, through NVRTC and the CUDA driver, as libqkjit does it: no nvcc is needed."""
import ctypes
import os
from ctypes import byref, c_char_p, c_int, c_size_t, c_void_p
from pathlib import Path

import torch

REGISTERS = 4  # CU_FUNC_ATTRIBUTE_NUM_REGS


def open_nvrtc() -> ctypes.CDLL:
    """The one that libqkjit was told to take, else that of PyTorch's CUDA."""
    return ctypes.CDLL(os.environ.get("QKJIT_NVRTC") or f"libnvrtc.so.{torch.version.cuda.split('.')[0]}")


def compile_cubin(source: Path, target: str) -> bytes:
    nvrtc, program, size = open_nvrtc(), c_void_p(), c_size_t()
    nvrtc.nvrtcGetErrorString.restype = c_char_p

    def ok(status: int) -> None:
        if status:
            raise RuntimeError(f"{source.name}: {nvrtc.nvrtcGetErrorString(status).decode()}")

    ok(nvrtc.nvrtcCreateProgram(byref(program), source.read_bytes(), source.name.encode(), 0, None, None))
    options = [f"--gpu-architecture={target}".encode(), b"--include-path=" + os.fsencode(source.parent)]
    if nvrtc.nvrtcCompileProgram(program, len(options), (c_char_p * len(options))(*options)):
        ok(nvrtc.nvrtcGetProgramLogSize(program, byref(size)))
        log = ctypes.create_string_buffer(size.value)
        ok(nvrtc.nvrtcGetProgramLog(program, log))
        raise RuntimeError(log.value.decode())
    ok(nvrtc.nvrtcGetCUBINSize(program, byref(size)))
    cubin = ctypes.create_string_buffer(size.value)
    ok(nvrtc.nvrtcGetCUBIN(program, cubin))
    ok(nvrtc.nvrtcDestroyProgram(byref(program)))
    return cubin.raw


class Kernel:
    def __init__(self, source: Path, name: str):
        self.driver = ctypes.CDLL("libcuda.so.1")
        torch.cuda.synchronize()  # makes PyTorch's CUDA context current, into which the module goes
        cubin = compile_cubin(source, "sm_%d%d" % torch.cuda.get_device_capability())
        module, self.function = c_void_p(), c_void_p()
        self.ok(self.driver.cuModuleLoadData(byref(module), cubin))
        self.ok(self.driver.cuModuleGetFunction(byref(self.function), module, name.encode()))

    def ok(self, status: int) -> None:
        if status:
            text = c_char_p()
            self.driver.cuGetErrorString(status, byref(text))
            raise RuntimeError((text.value or b"unknown error of the CUDA driver").decode())

    def registers(self) -> int:
        value = c_int()
        self.ok(self.driver.cuFuncGetAttribute(byref(value), REGISTERS, self.function))
        return value.value

    def blocks_at_once(self, threads: int) -> int:
        """How many blocks fit on one multiprocessor."""
        value = c_int()
        self.ok(self.driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(byref(value), self.function, threads,
                                                                        c_size_t(0)))
        return value.value

    def launch(self, blocks: int, threads: int, argument: ctypes.Structure) -> None:
        """On PyTorch's current stream."""
        stream = c_void_p(torch.cuda.current_stream().cuda_stream)
        arguments = (c_void_p * 1)(ctypes.addressof(argument))
        self.ok(self.driver.cuLaunchKernel(self.function, blocks, 1, 1, threads, 1, 1, 0, stream, arguments, None))
