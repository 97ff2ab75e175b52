/* libqkjit, the C interface: norm and rotary embedding of Q and K in one pass over memory.
 *
 * The binary contract of the library. Conventions:
 *  1. Every function that can fail returns qkjit_status; qkjit_last_error() then has the message of
 *     this thread's last call: what was given, what is needed, what to do.
 *  2. Structs that may grow begin with struct_size; start from their *_INIT macro. A size that is
 *     not this library's is refused: until version 1.0 host and library are of one header.
 *  3. Handles are opaque. The library frees what it allocates; strings it returns stay valid as
 *     long as each function says.
 *  4. A qkjit_runtime may be used from any number of threads at once.
 *  5. Tensors and their memory are the caller's. On any error no tensor has been written.
 *  6. No exception leaves the library, and it never changes the current CUDA context or device.
 *
 * Example, on host memory (a CUDA stream in place of QKJIT_STREAM_HOST runs on the GPU):
 *
 *     qkjit_runtime* runtime = NULL;
 *     if (qkjit_runtime_create(NULL, &runtime) != QKJIT_OK) { puts(qkjit_last_error()); return 1; }
 *     qkjit_args args = QKJIT_ARGS_INIT;
 *     qkjit_spec_parse("head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16", &args.spec);
 *     args.q = qkjit_tensor_3d(q, QKJIT_BF16, tokens, heads_q, 128);
 *     ...
 *     if (qkjit_launch(runtime, &args, QKJIT_STREAM_HOST, NULL) != QKJIT_OK) ...
 *     qkjit_runtime_destroy(runtime);
 */
#ifndef QKJIT_QKJIT_H_
#define QKJIT_QKJIT_H_

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define QKJIT_API __attribute__((visibility("default")))
#else
#define QKJIT_API
#endif

#define QKJIT_VERSION_MAJOR 0
#define QKJIT_VERSION_MINOR 1
#define QKJIT_VERSION_PATCH 0

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ---------------------------------------------------------------------------------- */

/* Values are fixed for ever. */
typedef enum qkjit_status {
  QKJIT_OK = 0,
  QKJIT_UNSUPPORTED = 1,      /* no path serves this spec; the message has the reason */
  QKJIT_INVALID_ARGUMENT = 2, /* the call is wrong */
  QKJIT_NOT_READY = 3,        /* only possible after qkjit_prepare(), e.g. during stream capture */
  QKJIT_COMPILE_FAILED = 4,   /* NVRTC or the driver refused the kernel; the message says why */
  QKJIT_CACHE_IO = 5,         /* the kernel cache was asked for and could not be read or written */
  QKJIT_CUDA_ERROR = 6,       /* no driver, no device, or the driver's own error */
  QKJIT_INTERNAL = 7
} qkjit_status;

/* Static text such as "invalid_argument". */
QKJIT_API const char* qkjit_status_string(qkjit_status status);

/* Message of this thread's last call that returned a status, "" if it was QKJIT_OK. Valid until the
 * next such call on this thread. */
QKJIT_API const char* qkjit_last_error(void);

/* Version of the library that is linked, as "major.minor.patch". Static text. */
QKJIT_API const char* qkjit_version(void);

/* ---- Spec: what a kernel is specialised on ----------------------------------------------------
 */

typedef enum qkjit_dtype {
  QKJIT_BF16 = 0,
  QKJIT_FP16 = 1,
  QKJIT_FP32 = 2,
  QKJIT_INT32 = 3,
  QKJIT_INT64 = 4,
  QKJIT_FP8_E4M3 = 5 /* of outputs: 4 bits of exponent, up to 448, without infinity */
} qkjit_dtype;

typedef enum qkjit_layout {
  QKJIT_INTERLEAVED = 0, /* pairs (2i, 2i+1), as in GPT-J and FLUX */
  QKJIT_NEOX = 1         /* pairs (i, i + rope_dim/2), as in GPT-NeoX and Llama */
} qkjit_layout;

/* Where intermediate values are rounded to dtype; r = 1/sqrt(mean(x^2) + eps), w the weight. Of a
 * LayerNorm x is what is left after its mean is subtracted.
 *   FUSED        y = x*(r*w) and the rotation in fp32, rounded once
 *   SPLIT        y rounded; rotation in fp32, rounded once
 *   EAGER        y rounded; each product of the rotation rounded, then their sum
 *   HF           x*r rounded, times w rounded; rotation as SPLIT
 *   LATE_WEIGHT  w*(x*r) rounded; rotation as SPLIT
 *   HF_EAGER, LATE_WEIGHT_EAGER
 *                y as in HF and LATE_WEIGHT, rotation as EAGER: transformers' Qwen3 and Gemma as
 *                they are in PyTorch
 * A bias is added before y is rounded, in the HF modes after that and rounded again. With
 * NORM_ORDER_AFTER the norm takes the rotation's result, rounded in all modes but FUSED. */
typedef enum qkjit_rounding {
  QKJIT_ROUNDING_FUSED = 0,
  QKJIT_ROUNDING_SPLIT = 1,
  QKJIT_ROUNDING_EAGER = 2,
  QKJIT_ROUNDING_HF = 3,
  QKJIT_ROUNDING_LATE_WEIGHT = 4,
  QKJIT_ROUNDING_HF_EAGER = 5,
  QKJIT_ROUNDING_LATE_WEIGHT_EAGER = 6
} qkjit_rounding;

typedef enum qkjit_positions {
  QKJIT_POSITIONS_INT64 = 0,
  QKJIT_POSITIONS_INT32 = 1,
  QKJIT_POSITIONS_IMPLICIT = 2, /* token t of each sequence uses row t + position_offset */
  /* Token t of each sequence stands in frame t / (h * w), row t / w % h and column t % w of
   * qkjit_args.grid; these are its positions on the three axes of sections. */
  QKJIT_POSITIONS_GRID = 3,
  /* A ragged batch, as FlashInfer has it: token t of segment s is at t - positions[s] +
   * segment_offsets[s], where positions are the segments' begins. No batches, no sections. */
  QKJIT_POSITIONS_SEGMENTS = 4
} qkjit_positions;

/* How a head is normalised. */
typedef enum qkjit_norm {
  QKJIT_NORM_RMS = 0,  /* x / sqrt(mean(x^2) + eps) * weight */
  QKJIT_NORM_NONE = 1, /* not at all; no weight is given */
  QKJIT_NORM_LAYER = 2 /* d / sqrt(mean(d^2) + eps) * weight + bias, where d = x - mean(x) */
} qkjit_norm;

/* What a norm multiplies by. */
typedef enum qkjit_weight {
  QKJIT_WEIGHT_PLAIN = 0,    /* the weight */
  QKJIT_WEIGHT_ONE_PLUS = 1, /* 1 + the weight, added in fp32, as in Gemma */
  QKJIT_WEIGHT_NONE = 2      /* nothing; no weights are given */
} qkjit_weight;

/* Whether a LayerNorm adds a bias. */
typedef enum qkjit_bias { QKJIT_BIAS_NO = 0, QKJIT_BIAS_YES = 1 } qkjit_bias;

/* Type of weights and biases. */
typedef enum qkjit_weight_dtype {
  QKJIT_WEIGHT_DTYPE_SAME = 0, /* the spec's dtype */
  QKJIT_WEIGHT_DTYPE_BF16 = 1,
  QKJIT_WEIGHT_DTYPE_FP16 = 2,
  QKJIT_WEIGHT_DTYPE_FP32 = 3
} qkjit_weight_dtype;

typedef enum qkjit_norm_order {
  QKJIT_NORM_ORDER_BEFORE = 0, /* normalise, then rotate */
  QKJIT_NORM_ORDER_AFTER = 1   /* rotate, then normalise the whole head */
} qkjit_norm_order;

/* How many values a row of the table has, for the rope_dim/2 angles of a head.
 *   HALF      one an angle
 *   FULL      two equal ones, as Hugging Face makes it: with NEOX the second half of the row
 * repeats the first, with INTERLEAVED each value is there twice. Only the first half, or every
 *             second value, is used
 *   ELEMENTS  one for each rotated element, as in ERNIE-Image: in a pair (a, b) of elements i and
 *             i + rope_dim/2, a is turned by value i and b by value i + rope_dim/2, which may
 *             differ. NEOX only, without sections */
typedef enum qkjit_table_width {
  QKJIT_TABLE_HALF = 0,
  QKJIT_TABLE_FULL = 1,
  QKJIT_TABLE_ELEMENTS = 2
} qkjit_table_width;

/* Which rope_dim elements of a head are rotated; with INTERLEAVED and NEOX alike, the layout counts
 * from the first of them. */
typedef enum qkjit_placement {
  QKJIT_PLACEMENT_HEAD = 0, /* the first */
  QKJIT_PLACEMENT_TAIL = 1  /* the last; fused if head_dim - rope_dim is a multiple of 8 */
} qkjit_placement;

/* How the angles of a head are dealt to the three sections of positions (see qkjit_spec.sections).
 *   CONTIGUOUS   the first sections[0] angles are axis 0's, the next sections[1] axis 1's, the rest
 *                axis 2's (Qwen2-VL)
 *   INTERLEAVED  angle i is axis i % 3's while i < 3 * sections[i % 3], else axis 0's: t, h, w, t,
 *                h, w, ... t, t (Qwen3-VL) */
typedef enum qkjit_section_order {
  QKJIT_SECTIONS_CONTIGUOUS = 0,
  QKJIT_SECTIONS_INTERLEAVED = 1
} qkjit_section_order;

/* What shares a variance. */
typedef enum qkjit_norm_scope {
  QKJIT_NORM_SCOPE_HEAD = 0, /* a head: head_dim elements */
  QKJIT_NORM_SCOPE_TOKEN = 1 /* all heads of a token, those of q and those of k: heads * head_dim;
                                for NORM_RMS, as in Wan, OLMo-2 and MiniMax-M2 */
} qkjit_norm_scope;

/* Where a token's cosines and sines come from. */
typedef enum qkjit_angles {
  QKJIT_ANGLES_TABLE = 0,   /* cos_sin_cache, or cos and sin */
  QKJIT_ANGLES_COMPUTED = 1 /* its position and qkjit_frequencies; no table, table and table_width
                               as QKJIT_SPEC_INIT has them */
} qkjit_angles;

/* Of which heads a weight and a bias are. */
typedef enum qkjit_weights {
  QKJIT_WEIGHTS_SHARED =
      0, /* of all alike: [head_dim]; with NORM_SCOPE_TOKEN the same as the next */
  QKJIT_WEIGHTS_PER_HEAD = 1 /* each has its own: [heads * head_dim], as in Command R+ */
} qkjit_weights;

/* How the sequences of a call with a batch dimension lie.
 *   FOLDED   one after another, in q, k, their outputs and positions alike, so that all are tokens
 *            of one long sequence: the batch stride is the tokens times the token stride. The
 *            generic kernel takes what does not fold, with QKJIT_REASON_BATCH
 *   STRIDED  with any batch stride; q and k may have different tokens, and positions of their own.
 *            Costs the fused kernel a division and a few registers */
typedef enum qkjit_batch { QKJIT_BATCH_FOLDED = 0, QKJIT_BATCH_STRIDED = 1 } qkjit_batch;

/* Whether V is copied as it is, beside q and k: where all three go into a joint buffer. */
typedef enum qkjit_v { QKJIT_V_NONE = 0, QKJIT_V_COPY = 1 } qkjit_v;

/* Of which heads a table is. */
typedef enum qkjit_table_heads {
  QKJIT_TABLE_HEADS_SHARED = 0,  /* of all alike */
  QKJIT_TABLE_HEADS_PER_HEAD = 1 /* head h of q and head h of k have the h-th, as in LTX-2's split
                                    rope; for TABLE angles */
} qkjit_table_heads;

/* Whether a kernel compares positions in device memory with the rows of the table.
 *   UNCHECKED  no: a position outside the table reads outside it
 *   CHECKED    a token that has one takes the nearest row, the first or the last, in place of it,
 *              and qkjit_args.position_error says so. For positions that a kernel reads: those of
 *              IMPLICIT and GRID are checked before every call, and COMPUTED angles have no table
 */
typedef enum qkjit_bounds { QKJIT_BOUNDS_UNCHECKED = 0, QKJIT_BOUNDS_CHECKED = 1 } qkjit_bounds;

/* How the values of an output are stored. FP8_E4M3 holds e4m3(v * (1 / scale)), where v is what
 * SAME would store, in rounding=fused the fp32 value before it is rounded; 1 / scale is rounded
 * once, as in vLLM's scaled_fp8_quant. To nearest even; beyond 448, infinity too, it is 448, and
 * NaN 0x7f. */
typedef enum qkjit_out { QKJIT_OUT_SAME = 0, QKJIT_OUT_FP8_E4M3 = 1 } qkjit_out;

/* Whose an FP8 scale is.
 *   STATIC  the caller's: one, one a head, or one a head of each sequence, as FlashAttention's
 *           descale
 *   HEAD    each head's of each token, which the call writes: its largest magnitude / 448, at least
 *           1 / (448 * 512), as in vLLM; NaN does not count
 *   TOKEN   the same, one for all heads that a token has of q, one for those of k, and one for V's;
 *           not with NORM_SCOPE_TOKEN and WEIGHTS_PER_HEAD */
typedef enum qkjit_out_scale {
  QKJIT_OUT_SCALE_STATIC = 0,
  QKJIT_OUT_SCALE_HEAD = 1,
  QKJIT_OUT_SCALE_TOKEN = 2
} qkjit_out_scale;

/* Where k's result goes, and V: to k_out and v_out, or to slots of a paged KV cache. */
typedef enum qkjit_cache { QKJIT_CACHE_NONE = 0, QKJIT_CACHE_PAGED = 1 } qkjit_cache;

/* Type of slot_mapping. */
typedef enum qkjit_slots { QKJIT_SLOTS_INT64 = 0, QKJIT_SLOTS_INT32 = 1 } qkjit_slots;

typedef struct qkjit_spec {
  size_t struct_size;
  int32_t head_dim; /* 1..1024; the fused kernel takes every multiple of 8 up to 512 */
  int32_t rope_dim; /* even, 0..head_dim; 0 is norm only, other elements are not rotated */
  qkjit_layout layout;
  qkjit_dtype dtype; /* of q, k and their outputs: BF16, FP16 or FP32 */
  qkjit_rounding rounding;
  qkjit_positions positions;
  qkjit_norm q_norm;
  qkjit_norm k_norm;
  qkjit_weight weight;             /* of q and k alike, where they have a norm */
  qkjit_bias bias;                 /* of q and k alike, where they have a LayerNorm */
  qkjit_weight_dtype weight_dtype; /* of weights and biases */
  qkjit_norm_order norm_order;
  qkjit_dtype table; /* of cosines and sines: BF16, FP16 or FP32; used as fp32, exactly */
  qkjit_table_width table_width;
  qkjit_placement placement;
  /* mrope: how many angles take their position from each of three axes, rope_dim/2 in all; then
   * positions is [3, tokens]. All 0: positions have one axis. */
  int32_t sections[3];
  qkjit_section_order section_order;
  qkjit_norm_scope norm_scope;
  qkjit_angles angles;
  qkjit_weights weights;
  qkjit_batch batch;
  qkjit_v v;
  qkjit_table_heads table_heads;
  qkjit_bounds bounds;
  qkjit_out q_out;
  qkjit_out k_out; /* of V too */
  qkjit_out_scale out_scale;
  qkjit_cache cache;
  qkjit_slots slots;
} qkjit_spec;

#define QKJIT_SPEC_INIT                                                                           \
  {                                                                                               \
    sizeof(qkjit_spec), 0, 0, QKJIT_INTERLEAVED, QKJIT_BF16, QKJIT_ROUNDING_FUSED,                \
        QKJIT_POSITIONS_INT64, QKJIT_NORM_RMS, QKJIT_NORM_RMS, QKJIT_WEIGHT_PLAIN, QKJIT_BIAS_NO, \
        QKJIT_WEIGHT_DTYPE_SAME, QKJIT_NORM_ORDER_BEFORE, QKJIT_FP32, QKJIT_TABLE_HALF,           \
        QKJIT_PLACEMENT_HEAD, {0, 0, 0}, QKJIT_SECTIONS_CONTIGUOUS, QKJIT_NORM_SCOPE_HEAD,        \
        QKJIT_ANGLES_TABLE, QKJIT_WEIGHTS_SHARED, QKJIT_BATCH_FOLDED, QKJIT_V_NONE,               \
        QKJIT_TABLE_HEADS_SHARED, QKJIT_BOUNDS_UNCHECKED, QKJIT_OUT_SAME, QKJIT_OUT_SAME,         \
        QKJIT_OUT_SCALE_STATIC, QKJIT_CACHE_NONE, QKJIT_SLOTS_INT64                               \
  }

/* Reads the canonical text, "head_dim=128,rope_dim=128,layout=interleaved,dtype=bf16" with
 * optional ",rounding=fused|split|eager|hf|late_weight|hf_eager|late_weight_eager",
 * ",positions=int64|int32|implicit|grid|segments",
 * ",norm=rms|none|layer" or, where they differ, ",q_norm=..." and ",k_norm=...",
 * ",weight=plain|one_plus|none", ",bias=no|yes", ",weight_dtype=same|bf16|fp16|fp32",
 * ",norm_order=before|after", ",table=fp32|bf16|fp16", ",table_width=half|full|elements",
 * ",placement=head|tail", ",sections=24+20+20", ",section_order=contiguous|interleaved",
 * ",norm_scope=head|token", ",angles=table|computed", ",weights=shared|per_head",
 * ",batch=folded|strided", ",v=none|copy", ",table_heads=shared|per_head",
 * ",bounds=unchecked|checked", ",out=same|fp8_e4m3" or, where they differ, ",q_out=..." and
 * ",k_out=...", ",out_scale=static|head|token", ",cache=none|paged" and ",slots=int64|int32".
 * Strict: an unknown field, a bad value, a repeated field, or norm beside q_norm or k_norm and out
 * beside q_out or k_out, is INVALID_ARGUMENT and names it; so is a
 * spec->struct_size that is not this library's. What means nothing for the rest of a spec is
 * dropped. */
QKJIT_API qkjit_status qkjit_spec_parse(const char* text, qkjit_spec* spec);

/* Writes the canonical text, NUL included, if it fits in `capacity` bytes; *size (may be NULL)
 * becomes the bytes needed. Too small a capacity is INVALID_ARGUMENT and writes nothing. */
QKJIT_API qkjit_status qkjit_spec_format(const qkjit_spec* spec, char* text, size_t capacity,
                                         size_t* size);

/* ---- Paths and reasons ------------------------------------------------------------------------
 */

/* All three return the same bits. */
typedef enum qkjit_path {
  QKJIT_PATH_NONE = 0,    /* nothing to do, or no path */
  QKJIT_PATH_FUSED = 1,   /* a kernel compiled for exactly this spec */
  QKJIT_PATH_GENERIC = 2, /* the embedded kernel, shapes at run time */
  QKJIT_PATH_CPU = 3      /* host memory */
} qkjit_path;

/* Why a call did not take the fused path. */
typedef enum qkjit_reason {
  QKJIT_REASON_NONE = 0,
  QKJIT_REASON_SHAPE = 1,             /* head_dim, or where the rotated part begins, is no multiple
                                         of 8, or head_dim is above 512 */
  QKJIT_REASON_ALIGNMENT = 2,         /* a pointer or stride keeps 16-byte accesses out */
  QKJIT_REASON_HOST_MEMORY = 3,       /* the call is on host memory */
  QKJIT_REASON_STREAM_CAPTURING = 4,  /* not prepared, and nothing is compiled during capture */
  QKJIT_REASON_NVRTC_MISSING = 5,     /* not in the cache, and libnvrtc is absent or unusable */
  QKJIT_REASON_COMPILE_FAILED = 6,    /* NVRTC or the driver refused the kernel */
  QKJIT_REASON_COMPILE_FORBIDDEN = 7, /* not in the cache, and the policy is never to compile */
  QKJIT_REASON_REQUESTED = 8,         /* the caller asked for this path */
  QKJIT_REASON_BATCH = 9,             /* batches do not fold, and the spec has BATCH_FOLDED */
  QKJIT_REASON_COMPILE_PENDING = 10,  /* not in the cache, and compiled in the background now */
  QKJIT_REASON_COUNT = 11
} qkjit_reason;

QKJIT_API const char* qkjit_path_string(qkjit_path path);       /* static text, e.g. "fused" */
QKJIT_API const char* qkjit_reason_string(qkjit_reason reason); /* static text, e.g. "alignment" */
QKJIT_API const char* qkjit_reason_text(qkjit_reason reason);   /* static sentence */

typedef struct qkjit_dispatch {
  qkjit_path path;
  qkjit_reason reason;
} qkjit_dispatch;

/* ---- Runtime ----------------------------------------------------------------------------------
 */

typedef struct qkjit_runtime qkjit_runtime;

/* What to do for a spec that is neither loaded nor cached. */
typedef enum qkjit_compile_policy {
  QKJIT_COMPILE_DEFAULT = 0,   /* QKJIT_COMPILE=block|background|never, else BLOCK */
  QKJIT_COMPILE_BLOCK = 1,     /* the call waits for the compile */
  QKJIT_COMPILE_NEVER = 2,     /* serve the generic kernel */
  QKJIT_COMPILE_BACKGROUND = 3 /* serve the generic kernel, with the same bits, while threads of the
                                  runtime compile; the launch that finds their work done takes it */
} qkjit_compile_policy;

/* Whether kernels are kept on disk. */
typedef enum qkjit_cache_mode {
  QKJIT_CACHE_DEFAULT = 0,    /* QKJIT_CACHE=rw|ro|off, else READ_WRITE */
  QKJIT_CACHE_READ_WRITE = 1, /* compiled kernels are kept in the writable layer */
  QKJIT_CACHE_READ_ONLY = 2,  /* all layers are read, and nothing is written */
  QKJIT_CACHE_OFF = 3         /* kernels stay in memory */
} qkjit_cache_mode;

/* level: 0 trace, 1 debug, 2 info, 3 warning, 4 error. May be called from any thread; must not
 * call the library. */
typedef void (*qkjit_log_callback)(int level, const char* message, void* user_data);

/* NULL or 0 means: the environment variable, else the default. */
typedef struct qkjit_runtime_options {
  size_t struct_size;
  const char*
      cache_dir; /* writable layer; QKJIT_CACHE_DIR, else $XDG_CACHE_HOME/qkjit or ~/.cache/qkjit */
  const char* cache_path; /* read-only layers, colon-separated; QKJIT_CACHE_PATH, else none */
  const char* nvrtc;      /* libnvrtc to open; QKJIT_NVRTC, else the newest soname found */
  qkjit_compile_policy compile;
  int32_t strict;         /* nonzero: a fallback from the fused path is UNSUPPORTED instead */
  int32_t cpu_threads;    /* of the CPU path; 0: all cores */
  qkjit_log_callback log; /* NULL: warnings to stderr, or the level in QKJIT_LOG */
  void* log_user_data;
  qkjit_cache_mode cache;
  uint64_t cache_max_bytes; /* of the writable layer, UINT64_MAX: no limit; QKJIT_CACHE_MAX_SIZE,
                               else 512 MiB */
  int32_t compile_threads;  /* of COMPILE_BACKGROUND, at most; 0: two, on one core one */
  /* "ed25519:" and 64 hexadecimal digits: of the read-only layers only what its owner signed is
   * used, wherever they lie; QKJIT_CACHE_PUBLIC_KEY, else they are trusted for their place */
  const char* cache_public_key;
} qkjit_runtime_options;

#define QKJIT_RUNTIME_OPTIONS_INIT                                                            \
  {                                                                                           \
    sizeof(qkjit_runtime_options), NULL, NULL, NULL, QKJIT_COMPILE_DEFAULT, 0, 0, NULL, NULL, \
        QKJIT_CACHE_DEFAULT, 0, 0, NULL                                                       \
  }

/* Opens neither libcuda nor libnvrtc; each is opened when first needed. options may be NULL. */
QKJIT_API qkjit_status qkjit_runtime_create(const qkjit_runtime_options* options,
                                            qkjit_runtime** runtime);

/* No call on it may be running. Work already launched on streams goes on; as with any CUDA module,
 * synchronise before destroying. What was to be compiled in the background is dropped, and what is
 * being compiled is waited for, since NVRTC cannot be interrupted: it is kept whole, or not at all.
 * A process that ends by exit() without this call waits likewise. NULL is allowed. */
QKJIT_API void qkjit_runtime_destroy(qkjit_runtime* runtime);

typedef struct qkjit_support {
  size_t struct_size;
  qkjit_dispatch dispatch; /* the best path on a GPU, and why it is not the fused one */
  char text[256];          /* one sentence with the nearest supported shape, "" for fused */
} qkjit_support;

#define QKJIT_SUPPORT_INIT                                             \
  {                                                                    \
    sizeof(qkjit_support), {QKJIT_PATH_NONE, QKJIT_REASON_NONE}, { 0 } \
  }

/* Which path serves the spec. Needs no GPU, no compiler and no runtime. OK, or UNSUPPORTED with the
 * reason in support->text and qkjit_last_error(). */
QKJIT_API qkjit_status qkjit_supports(const qkjit_spec* spec, qkjit_support* support);

/* Compiles the spec's kernels (one, or several by size of call), or finds them in the cache, and
 * with target == NULL loads them for the current device, and the generic one for calls that they
 * cannot serve, so that qkjit_launch() only looks up and launches. With a target ("sm_90",
 * "sm_90a") it only fills the cache, with what is built in and not with what `qkjit tune` chose,
 * and needs no GPU. A spec without a fused kernel loads the generic one and is OK; one with fused
 * kernels is OK with the first of them, which can serve all of their calls. The generic kernel is
 * that of the spec's own batch: a BATCH_FOLDED call that does not fold takes that of BATCH_STRIDED,
 * and a BATCH_STRIDED one that folds but is misaligned that of BATCH_FOLDED. */
QKJIT_API qkjit_status qkjit_prepare(qkjit_runtime* runtime, const qkjit_spec* spec,
                                     const char* target);

/* ---- Launch -----------------------------------------------------------------------------------
 */

/* A borrowed view. Shapes and strides count elements; the last stride must be 1. */
typedef struct qkjit_tensor {
  void* data; /* NULL: absent */
  qkjit_dtype dtype;
  int32_t rank; /* 1..4 */
  int64_t shape[4];
  int64_t strides[4];
} qkjit_tensor;

/* The frequencies of QKJIT_ANGLES_COMPUTED: angle i turns by f(i) radians from a position to the
 * next, its cosine and sine are multiplied by attention_factor.
 *   g(i) = base^(-2i / rope_dim) / linear_factor
 *   r(i) = (i - yarn_low) / (yarn_high - yarn_low), within 0 and 1
 *   f(i) = g(i) * (1 - r(i)) + g(i) / yarn_factor * r(i)
 * Where yarn_high is no more than 1e-6 above yarn_low, it is taken to be 0.001 higher. Plain RoPE
 * has the factors 1, linear scaling a linear_factor alone, YaRN the others: yarn_low and yarn_high
 * are what transformers' find_correction_range gives, attention_factor is its attention_factor.
 * The phase of position p errs by |p| * 2^-65 turns at most, cosine and sine by 1.5 ulp of fp32
 * more, whatever the position: nothing is lost at 1,000,000. Positions may be any int64 numbers,
 * negative ones too, as long as position + position_offset is one. */
typedef struct qkjit_frequencies {
  double base;          /* above 1, at most 1e18; none by default */
  double linear_factor; /* >= 1 */
  double yarn_factor;   /* >= 1 */
  double yarn_low, yarn_high;
  double attention_factor; /* a positive fp32 number */
} qkjit_frequencies;

#define QKJIT_FREQUENCIES_INIT \
  { 0, 1, 1, 0, 0, 1 }

/* The grid of QKJIT_POSITIONS_GRID: frames, height, width. Each sequence has frames * height *
 * width tokens, columns fastest, and its first one stands at `first` on each axis. */
typedef struct qkjit_grid {
  int64_t extents[3];
  int64_t first[3];
} qkjit_grid;

#define QKJIT_GRID_INIT    \
  {                        \
    {0, 0, 0}, { 0, 0, 0 } \
  }

/* q and k are [tokens, heads, head_dim], or both [batch, tokens, heads, head_dim], in this order of
 * dimensions whatever the order in memory: that is for the strides to say. A PyTorch tensor [B, H,
 * S, D] is the shape {B, S, H, D} with the strides {H*S*D, D, S*D, 1}:
 *
 *     qkjit_tensor q = {data, QKJIT_BF16, 4, {B, S, H, D}, {H * S * D, D, S * D, 1}};
 *
 * and q of a packed projection [B, S, (Hq + 2 * Hk) * D] is {B, S, Hq, D} with the strides
 * {S * (Hq + 2 * Hk) * D, (Hq + 2 * Hk) * D, D, 1}. With BATCH_STRIDED q and k may have different
 * tokens. One of them may be absent, with its output, weight and bias. */
typedef struct qkjit_args {
  size_t struct_size;
  qkjit_spec spec;
  qkjit_tensor q;        /* [tokens, heads_q, head_dim] or [batch, tokens, heads_q, head_dim], any
                            batch, token and head stride >= 0 */
  qkjit_tensor k;        /* the same with heads_k, strides of its own */
  qkjit_tensor q_out;    /* shaped as q; absent: in place */
  qkjit_tensor k_out;    /* shaped as k; absent: in place */
  qkjit_tensor q_weight; /* [head_dim], for NORM_SCOPE_TOKEN and WEIGHTS_PER_HEAD
                            [heads_q * head_dim]; absent for NORM_NONE and WEIGHT_NONE */
  qkjit_tensor k_weight; /* the same, with heads_k */
  qkjit_tensor q_bias;   /* as long as q_weight; with BIAS_YES, for NORM_LAYER only */
  qkjit_tensor k_bias;   /* the same, of k */
  /* The table, of the spec's `table` type and with any row stride: either cos_sin_cache, whose rows
   * are those of cos and then those of sin, or cos and sin, with the same row stride. W values a
   * row each, rope_dim/2 for TABLE_HALF and else rope_dim. Less than 2^31 rows, each at
   * most 2^31 - 1 bytes after the one before. Absent for rope_dim 0 and ANGLES_COMPUTED. The fused
   * kernel needs cosines, sines and strides on 16 bytes; on 8 for 16-bit values, but those of a
   * TABLE_FULL of INTERLEAVED pairs, if rope_dim is no multiple of 16; on none if it is no multiple
   * of 8. */
  qkjit_tensor cos_sin_cache; /* [rows, 2 * W], or with TABLE_HEADS_PER_HEAD [rows, heads, 2 * W],
                                 heads at least as many as q has and k has, at any stride */
  qkjit_tensor cos;           /* [rows, W] or [rows, heads, W]; LTX-2's [1, heads, tokens, W] is
                                 {tokens, heads, W} with the strides {W, tokens * W, 1}. Where q
                                 and k have tables of their own, make a call of each */
  qkjit_tensor sin;           /* the same */
  /* [tokens] of the spec's type, or [3, tokens] if it has sections; absent for IMPLICIT,
   * GRID and rope_dim 0. With a batch dimension that is for all sequences, or [batch, tokens] and
   * [3, batch, tokens] have those of each; IMPLICIT numbers the tokens of each sequence from 0. If
   * q and k have different tokens, as many as the longer has: the other takes the first of them. */
  qkjit_tensor positions;
  int64_t position_offset; /* added to every position: a segment's first row in a joint table */
  float eps;               /* finite, >= 0 */
  qkjit_path path;         /* NONE: the best; FUSED or GENERIC: that one or an error */
  qkjit_frequencies frequencies; /* as they are in QKJIT_ARGS_INIT unless angles are COMPUTED */
  qkjit_tensor k_positions;      /* those of k alone, with BATCH_STRIDED; positions are then q's */
  qkjit_tensor v;               /* with V_COPY: [tokens, heads_v, head_dim] or with batches, as many
                                   tokens as k; any heads, strides of its own */
  qkjit_tensor v_out;           /* shaped as v; where it goes, bit by bit, or as FP8 */
  qkjit_grid grid;              /* as it is in QKJIT_ARGS_INIT unless positions are GRID */
  qkjit_tensor segment_offsets; /* of SEGMENTS: int32 [n], the position of each one's first token;
                                   positions is then int32 [n + 1], from 0 to the tokens */
  /* With BOUNDS_CHECKED: int32 [1], in the memory that all tensors are in. Set it to -1, which
   * means none; a launch lowers it, seen as unsigned, to the lowest number of a token whose
   * position is outside the table, counted through all sequences of the call, each with as many
   * tokens as the longer of q and k. Launches may share it. Read it when the stream has come so
   * far: below 0 all was in order. In host memory it is left alone, as such a call is
   * INVALID_ARGUMENT. */
  qkjit_tensor position_error;
  /* Scales of what is FP8, fp32. OUT_SCALE_STATIC reads them: [1], [heads] or, with batches,
   * [batch, heads]; strides may be 0 and a dimension 1, where several share one. OUT_SCALE_HEAD
   * writes them: [tokens, heads], with batches [batch, tokens, heads]. OUT_SCALE_TOKEN
   * too, without the heads. */
  qkjit_tensor q_scale;
  qkjit_tensor k_scale;
  qkjit_tensor v_scale;
  /* With CACHE_PAGED, in place of k_out and v_out: [blocks, block_size, heads, head_dim] of the
   * dtype, or FP8, in this order of dimensions whatever the order in memory, less than 2^31 slots:
   *   vLLM        k = kv[0], v = kv[1] of [2, blocks, block_size, heads, head_dim], as they are
   *   FlashInfer  NHD: k is page [i, 0] and v page [i, 1] of [blocks, 2, block_size, heads,
   * head_dim], so that blocks lie 2 * block_size * heads * head_dim apart; HND: of [blocks, 2,
   *               heads, block_size, head_dim], with the strides {2 * heads * block_size *
   * head_dim, head_dim, block_size * head_dim, 1} SGLang      [slots, heads, head_dim] as [slots,
   * 1, heads, head_dim] Nothing else in the cache is touched. */
  qkjit_tensor k_cache;
  qkjit_tensor v_cache;
  /* With CACHE_PAGED, of the spec's type: [tokens of k], those of each sequence after the other's.
   * Token t goes to block slot / block_size, place slot % block_size; a negative slot leaves it
   * out, and its k and v are not written. No two tokens may have one slot. One beyond the cache
   * writes outside of it, or in host memory is INVALID_ARGUMENT. */
  qkjit_tensor slot_mapping;
} qkjit_args;

#define QKJIT_TENSOR_INIT                             \
  {                                                   \
    NULL, QKJIT_BF16, 0, {0, 0, 0, 0}, { 0, 0, 0, 0 } \
  }
#define QKJIT_ARGS_INIT                                                                           \
  {                                                                                               \
    sizeof(qkjit_args), QKJIT_SPEC_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, \
        QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT,               \
        QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT,               \
        QKJIT_TENSOR_INIT, 0, 1e-6f, QKJIT_PATH_NONE, QKJIT_FREQUENCIES_INIT, QKJIT_TENSOR_INIT,  \
        QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_GRID_INIT, QKJIT_TENSOR_INIT,                 \
        QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT,               \
        QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT, QKJIT_TENSOR_INIT                                   \
  }

/* A contiguous view of the given shape. */
static inline qkjit_tensor qkjit_tensor_4d(void* data, qkjit_dtype dtype, int64_t n0, int64_t n1,
                                           int64_t n2, int64_t n3) {
  qkjit_tensor t = {data, dtype, 4, {n0, n1, n2, n3}, {n1 * n2 * n3, n2 * n3, n3, 1}};
  return t;
}
static inline qkjit_tensor qkjit_tensor_3d(void* data, qkjit_dtype dtype, int64_t n0, int64_t n1,
                                           int64_t n2) {
  qkjit_tensor t = {data, dtype, 3, {n0, n1, n2, 0}, {n1 * n2, n2, 1, 0}};
  return t;
}
static inline qkjit_tensor qkjit_tensor_2d(void* data, qkjit_dtype dtype, int64_t n0, int64_t n1) {
  qkjit_tensor t = {data, dtype, 2, {n0, n1, 0, 0}, {n1, 1, 0, 0}};
  return t;
}
static inline qkjit_tensor qkjit_tensor_1d(void* data, qkjit_dtype dtype, int64_t n0) {
  qkjit_tensor t = {data, dtype, 1, {n0, 0, 0, 0}, {1, 0, 0, 0}};
  return t;
}

/* The same pointer as CUstream and cudaStream_t. NULL is the legacy default stream. */
typedef struct CUstream_st* qkjit_stream;

/* In place of a stream: the tensors are in host memory, and the call returns when they are done. */
#define QKJIT_STREAM_HOST ((qkjit_stream)(intptr_t)-1)

/* Normalises and rotates every row of q and k. On a CUDA stream: asynchronous, in stream order, on
 * the current context, with no synchronisation and no allocation once the spec is prepared; may be
 * captured. Of a spec that is not prepared, the first call that needs a kernel finds or compiles it
 * and loads it; during capture nothing is, and the best kernel that is loaded serves, or the call
 * is NOT_READY. Positions in device memory are not read before the launch: one outside the table
 * reads outside it; in host memory it is INVALID_ARGUMENT (see qkjit_bounds). Memory of the wrong
 * side is INVALID_ARGUMENT when a runtime first sees it: of addresses that were device memory
 * before, it takes that for granted. From sm_90 on launches are programmatically dependent (a
 * captured graph then has programmatic edges), with the memory ordering of plain ones. dispatch
 * (may be NULL) says which path it took and why; on an error it is left alone. Zero tokens is OK
 * and does nothing. */
QKJIT_API qkjit_status qkjit_launch(qkjit_runtime* runtime, const qkjit_args* args,
                                    qkjit_stream stream, qkjit_dispatch* dispatch);

/* Two streams of a block (text and image) in one launch, with the bits of two: each with tensors,
 * spec, positions and offset of its own. They write what they would alone; for a joint buffer give
 * outputs that are views of it, in either order. Neither may write what the other reads or writes.
 * dispatch says FUSED without a reason if one launch served both. Where none can, for the reason
 * given, two launches do, and the path is FUSED only if that of both is; with `strict`, or
 * path=FUSED, that is UNSUPPORTED instead. NORM_SCOPE_TOKEN, WEIGHTS_PER_HEAD and ANGLES_COMPUTED
 * take launches of their own, with QKJIT_REASON_SHAPE. A stream without tokens leaves the other
 * alone. */
QKJIT_API qkjit_status qkjit_launch_dual(qkjit_runtime* runtime, const qkjit_args* first,
                                         const qkjit_args* second, qkjit_stream stream,
                                         qkjit_dispatch* dispatch);

/* As qkjit_prepare(), for qkjit_launch_dual() with these specs in this order. */
QKJIT_API qkjit_status qkjit_prepare_dual(qkjit_runtime* runtime, const qkjit_spec* first,
                                          const qkjit_spec* second, const char* target);

/* Waits until the runtime compiles nothing in the background and has nothing queued: for warm-up
 * and tests. OK then, whether the compiles were good or not: from then on a launch takes the kernel
 * or says why there is none (COMPILE_FAILED, remembered with its log). NOT_READY if that takes
 * longer than timeout_ms; a negative one is no limit. */
QKJIT_API qkjit_status qkjit_wait_idle(qkjit_runtime* runtime, int64_t timeout_ms);

/* ---- Statistics --------------------------------------------------------------------------------
 */

/* Counts since the runtime was created; each field is exact, the set is not one snapshot.
 * A request is one for a kernel's code, by a launch, a qkjit_prepare() or a compile in the
 * background: requests = memory_hits + cache_hits + misses, and cache_hits = writable_hits +
 * read_only_hits + further_hits. Times are sums over all threads, in milliseconds. */
typedef struct qkjit_stats {
  size_t struct_size;
  uint64_t fused, generic, cpu;         /* launches by path */
  uint64_t reasons[QKJIT_REASON_COUNT]; /* launches by reason, index qkjit_reason */
  uint64_t compiled;                    /* kernels compiled by this process */
  uint64_t cache_hits;                  /* kernels found in a cache directory */
  uint64_t cache_rejected;              /* entries that were damaged, or refused by the driver */
  uint64_t failed;                      /* compiles and loads that failed, every try */
  uint64_t requests;
  uint64_t memory_hits;        /* known to the runtime already, or made by another thread then */
  uint64_t writable_hits;      /* found in the writable directory */
  uint64_t read_only_hits;     /* in one of the read-only directories */
  uint64_t further_hits;       /* in another layer */
  uint64_t misses;             /* in none: compiled, or not to be had */
  uint64_t lock_waits;         /* requests that waited for another process's compile */
  uint64_t background_pending; /* compiles in the background, queued or running, now */
  uint64_t background_done;    /* that have ended, good or not */
  double cache_read_ms;        /* looking through cache directories, and reading and checking */
  double compile_ms;           /* in NVRTC */
  double front_end_ms;         /* the part of it until the code is parsed; the rest optimises and
                                  assembles. 0 with an NVRTC that does not tell */
  double load_ms;              /* in the driver, loading */
} qkjit_stats;

#define QKJIT_STATS_INIT \
  { sizeof(qkjit_stats), 0, 0, 0, {0}, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

QKJIT_API qkjit_status qkjit_get_stats(const qkjit_runtime* runtime, qkjit_stats* stats);

#ifdef __cplusplus
}
#endif

#endif /* QKJIT_QKJIT_H_ */
