#include "threads.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

// A wait first looks again and again, because the others are usually microseconds behind, and then sleeps: a core that
// another process needs is not kept busy.
enum { LOOKS = 4000 };

typedef struct {
  team *team;
  int member;
  pthread_t thread;
} worker;

struct team {
  int size;
  worker *workers;
  team_function function;
  void *argument;
  _Atomic int stop;
  _Atomic int round;    // grows with each run
  _Atomic int arrived;  // at the present barrier
  _Atomic int passed;   // barriers so far
  _Atomic int asleep;   // members that must be woken
};

static void relax(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void wait_while(team *team, _Atomic int *value, int old) {
  for (int look = 0; look < LOOKS; look++) {
    if (atomic_load_explicit(value, memory_order_acquire) != old) return;
    relax();
  }
  atomic_fetch_add(&team->asleep, 1);
  while (atomic_load(value) == old) syscall(SYS_futex, value, FUTEX_WAIT_PRIVATE, old, NULL, NULL, 0);
  atomic_fetch_sub(&team->asleep, 1);
}

// Nobody is woken who is not asleep: a call of the system takes as long as a small product. Whoever is about to sleep has
// said so before it looks at the value again, so either it is seen here, or it sees the new value.
static void advance(team *team, _Atomic int *value) {
  atomic_fetch_add(value, 1);
  if (atomic_load(&team->asleep)) syscall(SYS_futex, value, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
}

void team_barrier(team *team) {
  if (!team || team->size == 1) return;
  int passed = atomic_load_explicit(&team->passed, memory_order_acquire);
  if (atomic_fetch_add_explicit(&team->arrived, 1, memory_order_acq_rel) == team->size - 1) {
    atomic_store_explicit(&team->arrived, 0, memory_order_relaxed);
    advance(team, &team->passed);
  } else {
    wait_while(team, &team->passed, passed);
  }
}

static void *work(void *argument) {
  worker *self = argument;
  team *team = self->team;
  for (int round = 0;; round++) {
    wait_while(team, &team->round, round);
    if (atomic_load(&team->stop)) return NULL;
    team->function(team->argument, self->member);
    team_barrier(team);
  }
}

team *team_new(int size) {
  team *made = calloc(1, sizeof *made);
  if (!made) return NULL;
  made->size = 1;
  made->workers = calloc(size, sizeof *made->workers);
  if (!made->workers) return team_delete(made), NULL;
  for (int member = 1; member < size; member++) {
    worker *worker = &made->workers[member];
    worker->team = made;
    worker->member = member;
    if (pthread_create(&worker->thread, NULL, work, worker)) return team_delete(made), NULL;
    made->size++;
  }
  return made;
}

void team_delete(team *team) {
  if (!team) return;
  atomic_store(&team->stop, 1);
  advance(team, &team->round);
  for (int member = 1; member < team->size; member++) pthread_join(team->workers[member].thread, NULL);
  free(team->workers);
  free(team);
}

int team_size(const team *team) { return team->size; }

void team_run(team *team, team_function function, void *argument) {
  team->function = function;
  team->argument = argument;
  if (team->size > 1) advance(team, &team->round);
  function(argument, 0);
  team_barrier(team);
}
