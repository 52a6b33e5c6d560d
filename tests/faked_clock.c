/* Moves the system's date by CLOCK_SHIFT_S seconds, for every program that is started with this library in LD_PRELOAD.
   Only readings of the date change. Monotonic clocks, sleeps, timeouts and the times of files stay as they are: Debian 12's
   libfaketime 0.9.10 changes monotonic sleeps too, and Python's time.sleep() then fails with EINVAL. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>

static int (*read_clock)(clockid_t, struct timespec *);
static time_t shift;

__attribute__((constructor)) static void prepare(void) {
    const char *given = getenv("CLOCK_SHIFT_S");
    shift = given ? atoll(given) : 0;
    read_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!read_clock) prepare(); /* another library's constructor came first */
    int failed = read_clock(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += shift;
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec read;
    int failed = clock_gettime(CLOCK_REALTIME, &read);
    if (!failed) {
        now->tv_sec = read.tv_sec;
        now->tv_usec = read.tv_nsec / 1000;
    }
    return failed;
}

time_t time(time_t *now) {
    struct timespec read;
    if (clock_gettime(CLOCK_REALTIME, &read)) return (time_t)-1;
    if (now) *now = read.tv_sec;
    return read.tv_sec;
}
