/* Open MPI's side of `vgid bench collective`: mpicc -O2 openmpi_bench.c
 *
 *     mpirun -n RANKS openmpi_bench FOLDER
 *
 * Rank 0 says hello in a line of JSON. Then each line of its standard input is a task, of which it prints the
 * times of the slowest rank as JSON:
 *
 *     CALL DTYPE COUNT WARM ROUNDS CHECK
 *
 * COUNT is the elements of the longest buffer. What goes in, and how it is cut, is as in call.go and pattern.go.
 *
 * Between tasks all ranks sleep, so that other programs can be measured: rank 0 passes tasks on through named
 * pipes in FOLDER, since ranks that wait inside MPI spin. */
#include <mpi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

enum { PERIOD = 7, BLOCK = PERIOD * 1024, MOST = 256, EVERYBODY = -1 };

static int rank, n;

static void die(const char *what) {
  perror(what);
  MPI_Abort(MPI_COMM_WORLD, 1);
}

/* ---- what goes in, and what has to come out ---- */

static const struct { const char *name; MPI_Datatype type; int size; } *dtype, dtypes[] = {
    {"f32", MPI_FLOAT, 4}, {"f64", MPI_DOUBLE, 8}, {"i32", MPI_INT32_T, 4}, {"i64", MPI_INT64_T, 8}, {"u8", MPI_UINT8_T, 1}};

static void element(char *at, int v) {
  float f = (float)v;
  double d = v;
  int32_t i = v;
  int64_t l = v;
  uint8_t u = (uint8_t)v;
  const void *from[] = {&f, &d, &i, &l, &u};
  memcpy(at, from[dtype - dtypes], dtype->size);
}

static int value(int source, long i) {
  int sum = 0;
  for (int r = 0; r < n; r++)
    if (source == EVERYBODY || source == r) sum += (int)((3 * (i % PERIOD) + 5 * r + 1) % PERIOD);
  return sum;
}

static void fill(char *b, long count, int source, long start) {
  char pattern[PERIOD * 8];
  for (int i = 0; i < PERIOD; i++) element(pattern + i * dtype->size, value(source, start + i));
  for (long i = 0; i < count; i += PERIOD)
    memcpy(b + i * dtype->size, pattern, (size_t)(count - i < PERIOD ? count - i : PERIOD) * dtype->size);
}

/* 1 if a run of elements is what ranks put in. */
static int is_piece(const char *b, int source, long start, long count) {
  static char want[BLOCK * 8];
  fill(want, BLOCK, source, start);
  for (long i = 0; i < count; i += BLOCK) {
    long k = count - i < BLOCK ? count - i : BLOCK;
    if (memcmp(b + i * dtype->size, want, (size_t)k * dtype->size)) return 0;
  }
  return 1;
}

/* ---- a call as this rank makes it ---- */

static struct {
  char name[32];
  long count, ins, outs; /* elements */
  char *in, *out;
  int parts[MOST], at[MOST];       /* of all ranks, in a buffer that holds them */
  int counts[MOST], offsets[MOST]; /* what goes to each rank in all-to-all */
} call;

static int is(const char *name) { return !strcmp(call.name, name); }

static int in_place(void) { return is("all-reduce") || is("broadcast"); }

static int between(int i, int j) { return call.parts[(i + j) % n]; }

static const char *names[] = {"all-reduce", "reduce-scatter", "reduce-scatter-v", "all-gather", "all-gather-v", "broadcast",
    "reduce", "gather", "gather-v", "scatter", "scatter-v", "all-to-all", "all-to-all-v", "send-recv", "barrier", "split", NULL};

static void prepare(const char *name, const char *type, long count) {
  const char *before = dtype ? dtype->name : "";
  int same = !strcmp(call.name, name) && !strcmp(before, type) && call.count == count && call.in;
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
    if (!strcmp(dtypes[i].name, type)) dtype = &dtypes[i];
  if (same) return;
  snprintf(call.name, sizeof call.name, "%s", name);
  call.count = count;
  int varying = strlen(name) > 2 && !strcmp(name + strlen(name) - 2, "-v");
  long starts[MOST + 1];
  for (int r = 0; r <= n; r++)
    starts[r] = r == n ? count : varying ? count * (r * (r + 1) / 2) / (n * (n + 1) / 2) : r * (count / n);
  for (int r = 0; r < n; r++) call.at[r] = (int)starts[r], call.parts[r] = (int)(starts[r + 1] - starts[r]);
  for (int q = 0, sum = 0; q < n; q++) call.offsets[q] = sum, sum += call.counts[q] = between(rank, q);
  long own = call.parts[rank];
  call.ins = call.outs = count;
  if (is("reduce-scatter") || is("reduce-scatter-v")) call.outs = own;
  if (is("all-gather") || is("all-gather-v")) call.ins = own;
  if (is("reduce")) call.outs = rank ? 0 : count;
  if (is("gather") || is("gather-v")) call.ins = own, call.outs = rank ? 0 : count;
  if (is("scatter") || is("scatter-v")) call.ins = rank ? 0 : count, call.outs = own;
  if (is("barrier") || is("split")) call.ins = call.outs = 0;
  if (call.out != call.in) free(call.out);
  free(call.in);
  call.in = call.out = calloc((size_t)call.ins + 1, dtype->size);
  if (!in_place()) call.out = calloc((size_t)call.outs + 1, dtype->size);
  if (!call.in || !call.out) die("memory");
}

static void make_call(void) {
  MPI_Comm c = MPI_COMM_WORLD;
  MPI_Datatype t = dtype->type;
  int count = (int)call.count, own = call.parts[rank], tag = 0;
  if (is("all-reduce")) MPI_Allreduce(MPI_IN_PLACE, call.in, count, t, MPI_SUM, c);
  else if (is("broadcast")) MPI_Bcast(call.in, count, t, 0, c);
  else if (is("reduce")) MPI_Reduce(call.in, call.out, count, t, MPI_SUM, 0, c);
  else if (is("reduce-scatter")) MPI_Reduce_scatter_block(call.in, call.out, own, t, MPI_SUM, c);
  else if (is("reduce-scatter-v")) MPI_Reduce_scatter(call.in, call.out, call.parts, t, MPI_SUM, c);
  else if (is("all-gather")) MPI_Allgather(call.in, own, t, call.out, own, t, c);
  else if (is("all-gather-v")) MPI_Allgatherv(call.in, own, t, call.out, call.parts, call.at, t, c);
  else if (is("gather")) MPI_Gather(call.in, own, t, call.out, own, t, 0, c);
  else if (is("gather-v")) MPI_Gatherv(call.in, own, t, call.out, call.parts, call.at, t, 0, c);
  else if (is("scatter")) MPI_Scatter(call.in, own, t, call.out, own, t, 0, c);
  else if (is("scatter-v")) MPI_Scatterv(call.in, call.parts, call.at, t, call.out, own, t, 0, c);
  else if (is("all-to-all")) MPI_Alltoall(call.in, call.parts[0], t, call.out, call.parts[0], t, c);
  else if (is("all-to-all-v")) MPI_Alltoallv(call.in, call.counts, call.offsets, t, call.out, call.counts, call.offsets, t, c);
  else if (is("send-recv")) MPI_Sendrecv(call.in, count, t, (rank + 1) % n, tag, call.out, count, t, (rank + n - 1) % n, tag, c, MPI_STATUS_IGNORE);
  else if (is("barrier")) MPI_Barrier(c);
  else {
    MPI_Comm child;
    MPI_Comm_split(c, 0, rank, &child);
    MPI_Comm_free(&child);
  }
}

/* Makes the call with known values; 1 if the result of this rank is right. */
static int check(void) {
  if (call.out != call.in) memset(call.out, 0xa5, (size_t)call.outs * dtype->size);
  fill(call.in, call.ins, rank, 0);
  make_call();
  int right = 1;
  const char *out = call.out;
  if (is("all-reduce") || is("reduce")) right = !call.outs || is_piece(out, EVERYBODY, 0, call.outs);
  else if (is("broadcast")) right = is_piece(out, 0, 0, call.outs);
  else if (is("reduce-scatter") || is("reduce-scatter-v")) right = is_piece(out, EVERYBODY, call.at[rank], call.outs);
  else if (is("scatter") || is("scatter-v")) right = is_piece(out, 0, call.at[rank], call.outs);
  else if (is("send-recv")) right = is_piece(out, (rank + n - 1) % n, 0, call.outs);
  else if (is("all-to-all") || is("all-to-all-v"))
    for (int q = 0; q < n; q++) {
      long start = 0;
      for (int j = 0; j < rank; j++) start += between(q, j);
      right &= is_piece(out + (size_t)call.offsets[q] * dtype->size, q, start, between(q, rank));
    }
  else if (call.outs) /* what gathers */
    for (int r = 0; r < n; r++) right &= is_piece(out + (size_t)call.at[r] * dtype->size, r, 0, call.parts[r]);
  if (is("all-reduce")) memset(call.in, 0, (size_t)call.ins * dtype->size); /* sums of sums would not stay finite */
  return right;
}

/* ---- tasks ---- */

static double cpu(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return t.tv_sec + 1e-9 * t.tv_nsec;
}

static void measure(int warm, int rounds) {
  double *seconds = calloc((size_t)rounds + 1, sizeof *seconds), used = 0, used_by_all = 0;
  if (!seconds) die("memory");
  for (int k = -warm; k < rounds; k++) {
    MPI_Barrier(MPI_COMM_WORLD);
    double cpu_before = cpu(), begin = MPI_Wtime();
    make_call();
    double end = MPI_Wtime(), cpu_after = cpu();
    if (k >= 0) seconds[k] = end - begin, used += cpu_after - cpu_before;
  }
  struct rusage u;
  getrusage(RUSAGE_SELF, &u);
  long peak = u.ru_maxrss, largest = 0;
  MPI_Reduce(&used, &used_by_all, 1, MPI_DOUBLE, MPI_SUM, 0, MPI_COMM_WORLD);
  MPI_Reduce(&peak, &largest, 1, MPI_LONG, MPI_MAX, 0, MPI_COMM_WORLD);
  MPI_Reduce(rank ? seconds : MPI_IN_PLACE, seconds, rounds, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
  if (!rank) {
    printf("{\"cpu\": %.9g, \"peak_rss_bytes\": %ld, \"seconds\": [", used_by_all, largest * 1024);
    for (int k = 0; k < rounds; k++) printf("%s%.9g", k ? ", " : "", seconds[k]);
    printf("]}\n");
  }
  free(seconds);
}

static void say(const char *key, const char *what, const char *name) {
  if (!rank) printf("{\"%s\": \"%s %s\"}\n", key, what, name);
}

static void task(const char *line) {
  char name[32], type[32];
  long count;
  int warm, rounds, checked, known = 0, right;
  if (sscanf(line, "%31s %31s %ld %d %d %d", name, type, &count, &warm, &rounds, &checked) != 6) {
    say("error", "cannot read the task", "");
    return;
  }
  for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++) known |= !strcmp(dtypes[i].name, type);
  if (!known) {
    say("lacks", "MPI has no type for", type);
    return;
  }
  known = 0;
  for (const char **k = names; *k; k++) known |= !strcmp(*k, name);
  if (!known) {
    say("error", "unknown call", name);
    return;
  }
  prepare(name, type, count);
  if (checked) {
    right = check();
    MPI_Allreduce(MPI_IN_PLACE, &right, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (!right) {
      say("error", "wrong result of", name);
      return;
    }
  }
  measure(warm, rounds);
}

int main(int argc, char **argv) {
  MPI_Init(&argc, &argv);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_size(MPI_COMM_WORLD, &n);
  if (argc != 2 || n > MOST) {
    if (!rank) fprintf(stderr, "usage: mpirun -n RANKS openmpi_bench FOLDER, up to %d ranks\n", MOST);
    MPI_Abort(MPI_COMM_WORLD, 2);
  }
  FILE *tasks = stdin, *others[MOST];
  char path[4096];
  if (rank) {
    snprintf(path, sizeof path, "%s/%d", argv[1], rank);
    if (mkfifo(path, 0600)) die(path);
  }
  MPI_Barrier(MPI_COMM_WORLD);
  for (int r = 1; r < n; r++) {
    snprintf(path, sizeof path, "%s/%d", argv[1], r);
    if (!rank && !(others[r] = fopen(path, "w"))) die(path);
    if (rank == r && !(tasks = fopen(path, "r"))) die(path);
  }
  if (!rank) {
    char version[MPI_MAX_LIBRARY_VERSION_STRING];
    int length;
    MPI_Get_library_version(version, &length);
    version[strcspn(version, ",\n")] = 0;
    printf("{\"version\": \"%s\"}\n", version);
    fflush(stdout);
  }
  char line[256];
  while (fgets(line, sizeof line, tasks)) {
    for (int r = 1; !rank && r < n; r++)
      if (fputs(line, others[r]) < 0 || fflush(others[r])) die("pass a task on");
    task(line);
    fflush(stdout);
  }
  for (int r = 1; !rank && r < n; r++) fclose(others[r]);
  MPI_Finalize();
  return 0;
}
