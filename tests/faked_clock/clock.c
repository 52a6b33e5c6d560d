/* Moves the date of every program that is started with this library in LD_PRELOAD. The file CLOCK_FILE holds by how many
   nanoseconds, a 64-bit integer that is read each time: who writes to it moves them all at once.
   Only readings of the date change. Monotonic clocks, sleeps, timeouts and the times of files stay as they are: Debian 12's
   libfaketime 0.9.10 changes monotonic sleeps too, and Python's time.sleep() then fails with EINVAL. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static int (*read_clock)(clockid_t, struct timespec *);
static const volatile int64_t no_shift = 0;
static const volatile int64_t *shift = &no_shift;

/* Another file from now on, for this process. 0 when it can be read. */
int follow_clock(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return -1;
    void *mapped = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    close(file);
    if (mapped == MAP_FAILED) return -1;
    shift = mapped;
    return 0;
}

__attribute__((constructor)) static void prepare(void) {
    const char *path = getenv("CLOCK_FILE");
    read_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    if (path) follow_clock(path);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!read_clock) prepare(); /* another library's constructor came first */
    int failed = read_clock(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t moved = now->tv_nsec + *shift % SECOND + SECOND;
        now->tv_sec += *shift / SECOND + moved / SECOND - 1;
        now->tv_nsec = moved % SECOND;
    }
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
