/* Times cblas_sgemm on shapes read from standard input, one a line:
 *     m n k transA transB threads seconds
 * and answers each with a line of JSON {"gflops": x}. It lives in a process of
 * its own because the workers of OpenBLAS spin between calls, and answers only once they
 * sleep. */
#include <cblas.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

extern void openblas_set_num_threads(int);
extern char *openblas_get_config(void);
extern char *openblas_get_corename(void);

static double seconds(clockid_t clock) {
  struct timespec t;
  clock_gettime(clock, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static double now(void) { return seconds(CLOCK_MONOTONIC); }

static float *matrix(size_t n) {
  float *x = aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
  if (!x) exit(1);
  for (size_t i = 0; i < n; i++) x[i] = (float)(i % 17) / 17.0f - 0.5f;
  return x;
}

int main(void) {
  int m, n, k, ta, tb, threads;
  double budget;
  printf("{\"config\": \"%s\", \"core\": \"%s\"}\n", openblas_get_config(), openblas_get_corename());
  fflush(stdout);
  while (scanf("%d %d %d %d %d %d %lf", &m, &n, &k, &ta, &tb, &threads, &budget) == 7) {
    float *a = matrix((size_t)m * k), *b = matrix((size_t)k * n), *c = matrix((size_t)m * n);
    openblas_set_num_threads(threads);
    /* what counts: processor time on one thread, see gemmbench.go */
    clockid_t clock = threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC;
    double best = 0, begin = now();
    for (int round = 0; round < 3 || now() - begin < budget; round++) {
      double t = now(), before = seconds(clock);
      int calls = 0;
      do {
        cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n, k, 1.0f, a,
                    ta ? m : k, b, tb ? k : n, 0.0f, c, n);
        calls++;
      } while (now() - t < 0.003);
      double rate = 2.0 * m * n * k * calls / (seconds(clock) - before) * 1e-9;
      if (rate > best) best = rate;
    }
    if (threads > 1) { /* its workers spin for some 20 ms before they sleep */
      struct timespec pause = {0, 60 * 1000 * 1000};
      nanosleep(&pause, NULL);
    }
    printf("{\"gflops\": %.4f}\n", best);
    fflush(stdout);
    free(a);
    free(b);
    free(c);
  }
  return 0;
}
