/* Runs one window through a bundle from C.
 *
 *   classify model.graupel < window.f32
 *
 * The window comes as raw float32 values in the machine's byte order, as many as the network takes.
 * Build it in this folder, after `make build` in the clone:
 *   cc -std=c99 -I../../include classify.c -L../../build/release/capi -lgraupel -o classify */
#include <graupel.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char** argv) {
  graupel_engine* engine = NULL;
  char error[512];
  graupel_answer answer = {sizeof answer, 0, NULL, 0.0, -1};
  float* window;
  size_t count;
  graupel_status status;

  if (argc != 2) {
    fprintf(stderr, "usage: classify model.graupel < window.f32\n");
    return 2;
  }
  if (graupel_open(argv[1], NULL, &engine, error, sizeof error) != GRAUPEL_OK) {
    fprintf(stderr, "classify: %s\n", error);
    return 2;
  }
  count = graupel_input_size(engine);
  window = malloc(count * sizeof *window);
  if (window == NULL || fread(window, sizeof *window, count, stdin) != count) {
    fprintf(stderr, "classify: standard input has to hold %zu float32 values\n", count);
    free(window);
    graupel_close(engine);
    return 2;
  }
  status = graupel_run(engine, window, count);
  if (status == GRAUPEL_OK) status = graupel_get_answer(engine, &answer);
  if (status == GRAUPEL_OK) {
    printf("class %lld %s, probability %.4f, engine cpu/%s\n", (long long)answer.class_index,
           answer.label, answer.probability, graupel_isa(engine));
  } else {
    fprintf(stderr, "classify: the network gave no class (status %d)\n", (int)status);
  }
  free(window);
  graupel_close(engine);
  return status == GRAUPEL_OK ? 0 : 1;
}
