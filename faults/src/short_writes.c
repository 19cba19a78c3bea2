/* Loaded before the C library by short_writes.rs: some writes and sends are short or interrupted, as POSIX allows.
 *
 * SHORT_EVERY=N      every Nth call writes half of what it was given
 * INTERRUPT_EVERY=N  every Nth call is interrupted once before it writes anything
 * SHORT_FIGURES=FILE three 64-bit counters: short on files, short on sockets, interrupted
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

static uint64_t none[3];
static uint64_t *figures = none;
static uint64_t short_every, interrupt_every;
static uint64_t calls;

__attribute__((constructor)) static void prepare(void) {
    const char *every = getenv("SHORT_EVERY"), *interrupts = getenv("INTERRUPT_EVERY"), *path = getenv("SHORT_FIGURES");
    short_every = every ? strtoull(every, NULL, 10) : 0;
    interrupt_every = interrupts ? strtoull(interrupts, NULL, 10) : 0;
    int file = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    if (file < 0)
        return;
    void *map = mmap(NULL, sizeof none, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    close(file);
    if (map != MAP_FAILED)
        figures = map;
}

/* What is left of `length` for this call; 0 when it is interrupted. Pipes and event counters stay whole: the kernel keeps
 * writes as small as theirs in one piece. */
static size_t allowed(int descriptor, size_t length) {
    struct stat status;
    if (length < 2 || fstat(descriptor, &status) != 0)
        return length;
    int is_file = S_ISREG(status.st_mode), is_socket = S_ISSOCK(status.st_mode);
    if (!is_file && !is_socket)
        return length;
    uint64_t call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    if (interrupt_every && call % interrupt_every == 0) {
        __atomic_add_fetch(&figures[2], 1, __ATOMIC_RELAXED);
        return 0;
    }
    /* Another remainder than the interruptions', which would otherwise take all of the turns of one that divides theirs. */
    if (short_every && call % short_every == 1 % short_every) {
        __atomic_add_fetch(&figures[is_file ? 0 : 1], 1, __ATOMIC_RELAXED);
        return length / 2;
    }
    return length;
}

#define NEXT(name) static __typeof__(name) *next; if (!next) next = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define LIMIT(length) do { size_t most = allowed(descriptor, length); \
    if (!most && length) { errno = EINTR; return -1; } length = most; } while (0)

ssize_t write(int descriptor, const void *bytes, size_t length) {
    NEXT(write);
    LIMIT(length);
    return next(descriptor, bytes, length);
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t offset) {
    NEXT(pwrite);
    LIMIT(length);
    return next(descriptor, bytes, length, offset);
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off64_t offset) {
    NEXT(pwrite64);
    LIMIT(length);
    return next(descriptor, bytes, length, offset);
}

ssize_t send(int descriptor, const void *bytes, size_t length, int flags) {
    NEXT(send);
    LIMIT(length);
    return next(descriptor, bytes, length, flags);
}

ssize_t writev(int descriptor, const struct iovec *parts, int count) {
    NEXT(writev);
    size_t length = 0;
    for (int part = 0; part < count; part++)
        length += parts[part].iov_len;
    size_t most = allowed(descriptor, length);
    if (most == length || count < 1)
        return next(descriptor, parts, count);
    if (!most) {
        errno = EINTR;
        return -1;
    }
    struct iovec first = parts[0];
    if (first.iov_len > most)
        first.iov_len = most;
    return next(descriptor, &first, 1);
}
