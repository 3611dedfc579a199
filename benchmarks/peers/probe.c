/* What the machine can do, beside the rounds of the comparison: multiply-adds, reading, copying, copying past the caches.
 *   probe THREADS
 * Answers each line "BYTES" with {"fma_f32", "fma_f64", "read", "copy", "stream"} in 1e9 operations or bytes a second; a copy's
 * bytes are those that it reads and those that it writes; BYTES are those that the buffers have together. Built with
 * -O3 -march=native -pthread. */
#define _GNU_SOURCE
#include <immintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { kMostThreads = 64, kRegisters = 12 };

typedef enum { kFmaF32, kFmaF64, kRead, kCopy, kStream, kProbes } Probe;
static const char* const kNames[] = {"fma_f32", "fma_f64", "read", "copy", "stream"};

static double seconds(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

#ifdef __AVX512F__
typedef float F32 __attribute__((vector_size(64)));
typedef double F64 __attribute__((vector_size(64)));
#else
typedef float F32 __attribute__((vector_size(32)));
typedef double F64 __attribute__((vector_size(32)));
#endif

static volatile float sink;

/* A chain in each register, enough of them to cover the latency. Contracted by the compiler. */
#define FMA(name, V)                                                  \
  static void name(long turns) {                                      \
    V x[kRegisters];                                                  \
    for (int i = 0; i < kRegisters; ++i) x[i] = (V){} + (float)(1 + i);\
    V a = (V){} + 0.999f, b = (V){} + 0.001f;                         \
    __asm__ volatile("" : "+v"(a), "+v"(b));                          \
    for (long t = 0; t < turns; ++t) {                                \
      _Pragma("GCC unroll 12") for (int i = 0; i < kRegisters; ++i) { \
        x[i] = x[i] * a + b;                                          \
      }                                                               \
    }                                                                 \
    V sum = x[0];                                                     \
    for (int i = 1; i < kRegisters; ++i) sum += x[i];                 \
    sink = (float)sum[0];                                             \
  }
FMA(fma_f32, F32)
FMA(fma_f64, F64)

static void read_all(const char* from, long bytes) {
  const F32* x = (const F32*)from;
  const long n = bytes / (long)sizeof(F32) / 8 * 8;
  F32 sums[8] = {};
  for (long i = 0; i < n; i += 8) {
    _Pragma("GCC unroll 8") for (int k = 0; k < 8; ++k) sums[k] += x[i + k];
  }
  for (int k = 1; k < 8; ++k) sums[0] += sums[k];
  sink = sums[0][0];
}

static void copy(const char* from, char* to, long bytes) {
  const F32* x = (const F32*)from;
  F32* y = (F32*)to;
  const long n = bytes / (long)sizeof(F32) / 4 * 4;
  for (long i = 0; i < n; i += 4) {
    _Pragma("GCC unroll 4") for (int k = 0; k < 4; ++k) y[i + k] = x[i + k];
    __asm__ volatile("" ::: "memory");
  }
}

static void stream(const char* from, char* to, long bytes) {
  for (long i = 0; i + 64 <= bytes; i += 64) {
    _mm256_stream_si256((__m256i*)(to + i), _mm256_load_si256((const __m256i*)(from + i)));
    _mm256_stream_si256((__m256i*)(to + i + 32), _mm256_load_si256((const __m256i*)(from + i + 32)));
  }
  _mm_sfence();
}

static struct {
  Probe probe;
  long turns, bytes;  /* of each thread */
  int threads;
  int processors[kMostThreads];
  char* buffers[kMostThreads];
  pthread_barrier_t start, end;
} shared;

static void work(int thread) {
  char* buffer = shared.buffers[thread];
  const long half = shared.bytes / 2 / 256 * 256;
  for (long t = 0; t < shared.turns; ++t) {
    switch (shared.probe) {
      case kFmaF32: fma_f32(10000); break;
      case kFmaF64: fma_f64(10000); break;
      case kRead: read_all(buffer, shared.bytes); break;
      case kCopy: copy(buffer, buffer + half, half); break;
      case kStream: stream(buffer, buffer + half, half); break;
      default: break;
    }
  }
}

/* The thread onto a processor of its own, the first ones that this process may use. */
static void pin(int thread) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(shared.processors[thread], &one);
  pthread_setaffinity_np(pthread_self(), sizeof one, &one);
}

static void* helper(void* thread) {
  pin((int)(long)thread);
  while (1) {
    pthread_barrier_wait(&shared.start);
    work((int)(long)thread);
    pthread_barrier_wait(&shared.end);
  }
  return NULL;
}

static double run(Probe probe, long turns) {
  shared.probe = probe;
  shared.turns = turns;
  const double begin = seconds();
  if (shared.threads > 1) pthread_barrier_wait(&shared.start);
  work(0);
  if (shared.threads > 1) pthread_barrier_wait(&shared.end);
  return seconds() - begin;
}

/* 1e9 operations or bytes a second: turns are doubled until they take 2 ms; the better one of two. */
static double rate(Probe probe) {
  const double lanes = probe == kFmaF32 ? sizeof(F32) / 4.0 : sizeof(F64) / 8.0;
  const double of_turn = probe <= kFmaF64 ? 10000.0 * kRegisters * 2 * lanes : (double)(shared.bytes / 512 * 512);
  long turns = 1;
  double took = run(probe, turns);
  while (took < 1e-3) took = run(probe, turns *= 2);
  const double again = run(probe, turns);
  return of_turn * turns * shared.threads / (again < took ? again : took) * 1e-9;
}

static void resize(long bytes) {
  bytes = (bytes / shared.threads + 4095) / 4096 * 4096;
  if (bytes < 8192) bytes = 8192;
  if (bytes == shared.bytes) return;
  shared.bytes = bytes;
  for (int i = 0; i < shared.threads; ++i) {
    free(shared.buffers[i]);
    shared.buffers[i] = aligned_alloc(4096, bytes);
    memset(shared.buffers[i], 0, bytes);
  }
}

int main(int count, char** arguments) {
  shared.threads = count > 1 ? atoi(arguments[1]) : 1;
  if (shared.threads < 1 || shared.threads > kMostThreads) return 1;
  cpu_set_t all;
  sched_getaffinity(0, sizeof all, &all);
  for (int cpu = 0, n = 0; cpu < CPU_SETSIZE && n < shared.threads; ++cpu) {
    if (CPU_ISSET(cpu, &all)) shared.processors[n++] = cpu;
  }
  pin(0);
  pthread_barrier_init(&shared.start, NULL, shared.threads);
  pthread_barrier_init(&shared.end, NULL, shared.threads);
  for (long i = 1; i < shared.threads; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, helper, (void*)i)) return 1;
  }
  for (char line[64]; fgets(line, sizeof line, stdin);) {
    resize(atol(line));
    for (int p = 0; p < kProbes; ++p) printf("%s\"%s\": %.3f", p ? ", " : "{", kNames[p], rate(p));
    puts("}");
    fflush(stdout);
  }
  return 0;
}
