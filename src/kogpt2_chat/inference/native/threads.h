// A team of threads that runs one function at a time and meets at barriers.
#pragma once

typedef struct team team;
typedef void (*team_function)(void *argument, int member);

// Start `size` - 1 threads; the caller of `team_run` is the last member. NULL: the system gives no threads.
team *team_new(int size);
void team_delete(team *);
int team_size(const team *);
// Run the function in every member, and return when all have ended.
void team_run(team *, team_function, void *argument);
// Wait until all members are here. Only inside a function of `team_run`.
void team_barrier(team *);
