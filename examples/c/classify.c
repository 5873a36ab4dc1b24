/* Runs windows through a bundle from C, as many at a time as suits the processor.
 *
 *   classify model.graupel < windows.f32
 *
 * Windows come one behind the other as raw float32 values in the machine's byte order, each as many
 * as the network takes. Build it in this folder, after `make build` in the clone: cc -std=c99
 * -I../../include classify.c -L../../build/release/capi -lgraupel -o classify */
#include <graupel.h>
#include <stdio.h>
#include <stdlib.h>

/* Prints a line for each of the last run's windows. */
static graupel_status print_answers(const graupel_engine* engine, size_t windows) {
  graupel_answer answer = {sizeof answer, 0, NULL, 0.0, -1};
  size_t i;
  for (i = 0; i < windows; ++i) {
    const graupel_status status = graupel_get_batch_answer(engine, i, &answer);
    if (status != GRAUPEL_OK) return status;
    printf("class %lld %s, probability %.4f, engine cpu/%s\n", (long long)answer.class_index,
           answer.label, answer.probability, graupel_isa(engine));
  }
  return GRAUPEL_OK;
}

/* Reads and answers windows up to the end of standard input. */
static int classify(graupel_engine* engine, float* values) {
  const size_t size = graupel_input_size(engine);
  const size_t most = graupel_batch(engine) * size;
  size_t answered = 0;
  size_t count = most;
  while (count == most) {
    count = fread(values, sizeof *values, most, stdin);
    if (count % size != 0 || (count == 0 && answered == 0)) {
      fprintf(stderr, "classify: standard input has to hold windows of %zu float32 values\n", size);
      return 2;
    }
    if (count > 0) {
      graupel_status status = graupel_run_batch(engine, values, count, count / size);
      if (status == GRAUPEL_OK) status = print_answers(engine, count / size);
      if (status != GRAUPEL_OK) {
        fprintf(stderr, "classify: the network gave no class (status %d)\n", (int)status);
        return 1;
      }
      answered += count / size;
    }
  }
  return 0;
}

int main(int argc, char** argv) {
  graupel_engine* one = NULL;
  graupel_engine* engine = NULL;
  char error[512];
  float* values = NULL;
  int result = 2;

  if (argc != 2) {
    fprintf(stderr, "usage: classify model.graupel < windows.f32\n");
    return 2;
  }
  if (graupel_open(argv[1], NULL, &one, error, sizeof error) != GRAUPEL_OK) {
    fprintf(stderr, "classify: %s\n", error);
    return 2;
  }
  if (graupel_clone_for(one, graupel_usual_batch(one), 1, &engine) == GRAUPEL_OK) {
    values = malloc(graupel_batch(engine) * graupel_input_size(engine) * sizeof *values);
  }
  graupel_close(one); /* a clone does not need it */
  if (values != NULL) {
    result = classify(engine, values);
  } else {
    fprintf(stderr, "classify: there is not enough memory\n");
  }
  free(values);
  graupel_close(engine);
  return result;
}
