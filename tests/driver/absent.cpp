// Functions that the library binds for its tools and never calls itself. Without cuda.h, so that
// none needs its parameters.
#define QKJIT_ABSENT(name) \
  extern "C" int name();   \
  extern "C" int name() { return 801; /* CUDA_ERROR_NOT_SUPPORTED */ }

QKJIT_ABSENT(cuCtxGetCurrent)
QKJIT_ABSENT(cuCtxSetCurrent)
QKJIT_ABSENT(cuDevicePrimaryCtxRetain)
QKJIT_ABSENT(cuDevicePrimaryCtxRelease_v2)
QKJIT_ABSENT(cuMemAlloc_v2)
QKJIT_ABSENT(cuMemFree_v2)
QKJIT_ABSENT(cuMemcpyHtoD_v2)
QKJIT_ABSENT(cuMemcpyDtoH_v2)
QKJIT_ABSENT(cuMemcpyDtoD_v2)
QKJIT_ABSENT(cuStreamCreate)
QKJIT_ABSENT(cuStreamDestroy_v2)
QKJIT_ABSENT(cuStreamSynchronize)
QKJIT_ABSENT(cuStreamBeginCapture_v2)
QKJIT_ABSENT(cuStreamEndCapture)
QKJIT_ABSENT(cuGraphDestroy)
QKJIT_ABSENT(cuGraphInstantiateWithFlags)
QKJIT_ABSENT(cuGraphExecDestroy)
QKJIT_ABSENT(cuGraphLaunch)
QKJIT_ABSENT(cuEventCreate)
QKJIT_ABSENT(cuEventDestroy_v2)
QKJIT_ABSENT(cuEventRecord)
QKJIT_ABSENT(cuEventElapsedTime)
QKJIT_ABSENT(cuEventElapsedTime_v2)
