# The flags of all our own code, as one interface target.
add_library(qkjit_flags INTERFACE)
target_compile_options(qkjit_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow
  -Wno-unknown-pragmas  # the kernels' "#pragma unroll" is NVRTC's
  -ffp-contract=off  # the numerics name every fused multiply-add; no compiler may make another
  $<$<BOOL:${QKJIT_WERROR}>:-Werror>)
if(QKJIT_SANITIZE)
  target_compile_options(qkjit_flags INTERFACE -fsanitize=${QKJIT_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
    $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>)  # GCC 12 is wrong about it in instrumented code
  target_link_options(qkjit_flags INTERFACE -fsanitize=${QKJIT_SANITIZE})
endif()
