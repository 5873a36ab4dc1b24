/* graupel from C: load a bundle, run windows, read answers.
 *
 * The engine is opaque. Structures only ever grow at their end and carry their size, so that a
 * program built against this header keeps working with a later library of the same major ABI
 * version (GRAUPEL_ABI). Nothing here prints, exits or throws. A loaded network is shared and never
 * written: give each thread a clone. graupel_run and graupel_run_batch allocate nothing.
 * Link with -lgraupel. Example: examples/c/classify.c. */
#ifndef GRAUPEL_H
#define GRAUPEL_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define GRAUPEL_API __attribute__((visibility("default")))
#else
#define GRAUPEL_API
#endif

#define GRAUPEL_ABI 1

typedef enum graupel_status {
  GRAUPEL_OK = 0,
  GRAUPEL_INVALID_INPUT = 1, /* what the caller gave does not fit */
  GRAUPEL_UNSUPPORTED = 2,   /* valid, but not something this build does */
  GRAUPEL_CORRUPT = 3,       /* a damaged or foreign file */
  GRAUPEL_IO = 4,            /* the file cannot be read */
  GRAUPEL_DEVICE = 5,        /* this machine lacks something */
  GRAUPEL_INTERNAL = 6       /* a defect of graupel */
} graupel_status;

typedef enum graupel_type {
  GRAUPEL_FLOAT32 = 0,
  GRAUPEL_INT8 = 1,
  GRAUPEL_UINT8 = 2,
  GRAUPEL_INT32 = 3,
  GRAUPEL_INT64 = 4,
  GRAUPEL_BOOL = 5,
  GRAUPEL_OTHER = 6
} graupel_type;

typedef struct graupel_engine graupel_engine;

/* The answer of one window. Set size to sizeof(graupel_answer) before the call. */
typedef struct graupel_answer {
  size_t size;
  int64_t class_index; /* of the largest logit, the first if several are equal */
  const char* label;   /* "" if the bundle names no labels; lives as long as the engine */
  double probability;  /* softmax of the logits; not calibrated */
  int64_t fsq_code;    /* -1 if the network has no FSQ */
} graupel_answer;

GRAUPEL_API int graupel_abi(void); /* GRAUPEL_ABI of the library in use */
GRAUPEL_API const char* graupel_version(void);

/* Loads the bundle at `path`. `isa` is NULL for the best instruction set of this processor (or
 * GRAUPEL_ISA), or a name as `graupel doctor` lists them. On failure *engine is NULL and one line
 * that says why, cut to error_size, is in `error` (which may be NULL). */
GRAUPEL_API graupel_status graupel_open(const char* path, const char* isa, graupel_engine** engine,
                                        char* error, size_t error_size);
/* The same network with memory of its own, for another thread. */
GRAUPEL_API graupel_status graupel_clone(const graupel_engine* engine, graupel_engine** copy);
GRAUPEL_API void graupel_close(graupel_engine* engine); /* NULL is allowed */

GRAUPEL_API const char* graupel_isa(const graupel_engine* engine);   /* "avx2", ... */
GRAUPEL_API const char* graupel_model(const graupel_engine* engine); /* the network's name */

/* The window: float32, row-major, as the bundle takes it (raw, if it normalises itself). */
GRAUPEL_API size_t graupel_input_size(const graupel_engine* engine); /* values */
GRAUPEL_API size_t graupel_input_rank(const graupel_engine* engine);
GRAUPEL_API const int64_t* graupel_input_shape(const graupel_engine* engine);

/* One window of `count` values, which has to be graupel_input_size. */
GRAUPEL_API graupel_status graupel_run(graupel_engine* engine, const float* window, size_t count);
/* What the last run answered. GRAUPEL_UNSUPPORTED if the network does not classify. */
GRAUPEL_API graupel_status graupel_get_answer(const graupel_engine* engine, graupel_answer* answer);

/* Several windows at a time, and several threads for one run. Both need memory that is taken
 * before: a clone of the same network for up to `batch` windows (1 to 64) and `threads` threads (1
 * to 64, or 0 for every core this process may use). Threads share the large steps of a run; a
 * network without one keeps one thread, which graupel_threads then says. With more than one thread,
 * runs wait for each other's parts; with one, nothing waits. */
GRAUPEL_API graupel_status graupel_clone_for(const graupel_engine* engine, size_t batch,
                                             size_t threads, graupel_engine** copy);
GRAUPEL_API size_t graupel_batch(const graupel_engine* engine);   /* windows of a run at most */
GRAUPEL_API size_t graupel_threads(const graupel_engine* engine); /* of a run */
/* How many windows are best run together on this processor; more only take memory. */
GRAUPEL_API size_t graupel_usual_batch(const graupel_engine* engine);

/* `windows` windows, one behind the other, 1 to graupel_batch: `count` values, which has to be
 * windows * graupel_input_size. The answers are the bytes of one window at a time. Functions
 * without a window's index then answer for the first. */
GRAUPEL_API graupel_status graupel_run_batch(graupel_engine* engine, const float* values,
                                             size_t count, size_t windows);
/* GRAUPEL_INVALID_INPUT or NULL for a window that the last run did not have. */
GRAUPEL_API graupel_status graupel_get_batch_answer(const graupel_engine* engine, size_t window,
                                                    graupel_answer* answer);
GRAUPEL_API const void* graupel_batch_output_data(const graupel_engine* engine, size_t index,
                                                  size_t window);

GRAUPEL_API size_t graupel_class_count(const graupel_engine* engine); /* labels in the bundle */
GRAUPEL_API const char* graupel_label(const graupel_engine* engine,
                                      size_t class_index); /* or NULL */

/* The network's outputs, row-major; the data are those of the last run and valid until the next.
 * NULL or 0 for an index that does not exist. */
GRAUPEL_API size_t graupel_output_count(const graupel_engine* engine);
GRAUPEL_API const char* graupel_output_name(const graupel_engine* engine, size_t index);
GRAUPEL_API graupel_type graupel_output_type(const graupel_engine* engine, size_t index);
GRAUPEL_API size_t graupel_output_size(const graupel_engine* engine, size_t index); /* elements */
GRAUPEL_API const void* graupel_output_data(const graupel_engine* engine, size_t index);

#ifdef __cplusplus
}
#endif

#endif
