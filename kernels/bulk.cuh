// What sm_90 adds for whole warps: bulk copies between device and shared memory, and grids that
// depend on each other. On older GPUs and in a host compiler the copies are plain ones of one lane.
#pragma once

#include "platform.cuh"

namespace qkjit {

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 900

QKJIT_DEVICE unsigned shared_address(const void* pointer) {
  return static_cast<unsigned>(__cvta_generic_to_shared(pointer));
}

/// The lane that speaks for its warp. Volatile, so that no compiler joins one test with another and
/// makes two copies, one for the leader, of all that lies between.
QKJIT_DEVICE bool is_leader() {
  unsigned lane;
  asm volatile("mov.u32 %0, %%laneid;" : "=r"(lane));
  return lane == 0;
}

/// Lets the next grid in the stream be set up from now on.
QKJIT_DEVICE void allow_next_grid() { asm volatile("griddepcontrol.launch_dependents;"); }

/// Waits until the grid before has written its memory; the second time there is nothing to wait
/// for.
QKJIT_DEVICE void wait_for_previous_grid() { asm volatile("griddepcontrol.wait;" ::: "memory"); }

/// One transfer into shared memory that a warp waits for. Used once.
class BulkLoad {
 public:
  /// The warp begins to copy `bytes` (a multiple of 16; both sides on 16 bytes). `barrier` is 8
  /// bytes of shared memory of this warp.
  QKJIT_DEVICE BulkLoad(unsigned long long* barrier, void* to, const void* from, unsigned bytes)
      : barrier_(shared_address(barrier)) {
    if (is_leader()) {
      asm volatile("mbarrier.init.shared.b64 [%0], 1;" ::"r"(barrier_));
      asm volatile("fence.mbarrier_init.release.cluster;");
      asm volatile("mbarrier.arrive.expect_tx.shared.b64 _, [%0], %1;" ::"r"(barrier_), "r"(bytes));
      asm volatile(
          "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, "
          "[%3];" ::"r"(shared_address(to)),
          "l"(from), "r"(bytes), "r"(barrier_)
          : "memory");
    }
    __syncwarp();
  }
  /// Every lane of the warp calls it; then each sees the whole transfer.
  QKJIT_DEVICE void wait() const {
    unsigned done = 0;
    while (!done) {
      asm volatile(
          "{.reg .pred p;\n"
          "mbarrier.try_wait.parity.shared.b64 p, [%1], 0;\n"
          "selp.u32 %0, 1, 0, p;}"
          : "=r"(done)
          : "r"(barrier_)
          : "memory");
    }
    __syncwarp();
  }

 private:
  unsigned barrier_;
};

/// The warp copies what its lanes have written to shared memory. Only the leader waits until that
/// may be overwritten: the others must not write there any more.
QKJIT_DEVICE void bulk_store(void* to, const void* from, unsigned bytes) {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  __syncwarp();
  if (!is_leader()) return;
  asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;" ::"l"(to),
               "r"(shared_address(from)), "r"(bytes)
               : "memory");
  asm volatile("cp.async.bulk.commit_group;");
  asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
}

#else

QKJIT_DEVICE void allow_next_grid() {}
QKJIT_DEVICE void wait_for_previous_grid() {}

QKJIT_DEVICE void copy_as_leader(void* to, const void* from, unsigned bytes) {
  if (threadIdx.x % 32 != 0) return;
  for (unsigned i = 0; i < bytes / 16; ++i) {
    static_cast<uint4*>(to)[i] = static_cast<const uint4*>(from)[i];
  }
}

class BulkLoad {
 public:
  QKJIT_DEVICE BulkLoad(unsigned long long*, void* to, const void* from, unsigned bytes) {
    copy_as_leader(to, from, bytes);
  }
  QKJIT_DEVICE void wait() const { __syncwarp(); }
};

QKJIT_DEVICE void bulk_store(void* to, const void* from, unsigned bytes) {
  __syncwarp();
  copy_as_leader(to, from, bytes);
}

#endif

}  // namespace qkjit
