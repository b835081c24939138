/* Loaded into VES (LD_PRELOAD) by tests: makes system calls fail, or answer wrongly, as disks, network
 * file systems and clocks do. What is to happen stands in the file that FAULTS names and may change at
 * any time, one rule a line:
 *
 *   open ERRNO PATH      opening a path that contains PATH fails
 *   write ERRNO PATH     so does writing to it
 *   sync ERRNO PATH      fsync and fdatasync
 *   map 0 PATH           what is mapped of it raises SIGBUS, as pages do that the disk cannot read
 *   stale 0 PATH         a descriptor goes on telling the size that it told first
 *   clock SECONDS -      the wall clock is off by that
 *
 * Calls of sync are noted in the file FAULTS.log.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define DESCRIPTORS 4096

static long long first_size[DESCRIPTORS];
static char has_size[DESCRIPTORS];

/* The number of the rule for that call and path; 0 for none. `is_there` tells whether there is one. */
static long rule(const char *call, const char *path, int *is_there) {
  const char *name = getenv("FAULTS");
  FILE *rules = name ? fopen(name, "re") : NULL;
  char line[4600], verb[16], part[4096];
  long number, found = 0;
  *is_there = 0;
  while (rules && fgets(line, sizeof line, rules)) {
    if (sscanf(line, "%15s %ld %4095s", verb, &number, part) == 3 && !strcmp(verb, call) &&
        (!path || strstr(path, part))) {
      found = number;
      *is_there = 1;
    }
  }
  if (rules) fclose(rules);
  return found;
}

static long rule_of(const char *call, int fd, int *is_there) {
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  *is_there = 0;
  if (length <= 0) return 0;
  path[length] = 0;
  return rule(call, path, is_there);
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, int);
  va_end(rest);
  int is_there;
  const char *rules = getenv("FAULTS");
  long error = rules && !strcmp(path, rules) ? 0 : rule("open", path, &is_there);
  if (error) {
    errno = (int)error;
    return -1;
  }
  return REAL(open64)(path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < DESCRIPTORS) has_size[fd] = 0;
  return REAL(close)(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  int is_there;
  long error = rule_of("write", fd, &is_there);
  if (is_there) {
    errno = (int)error;
    return -1;
  }
  return REAL(write)(fd, bytes, count);
}

static int sync_fault(int fd, const char *call) {
  char name[4200], link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, sizeof path - 1);
  snprintf(name, sizeof name, "%s.log", getenv("FAULTS") ? getenv("FAULTS") : "/dev/null");
  FILE *log = fopen(name, "ae");
  if (log && length > 0) {
    struct stat status;
    path[length] = 0;
    fprintf(log, "%s %s %lld\n", call, path, fstat(fd, &status) ? -1LL : (long long)status.st_size);
  }
  if (log) fclose(log);
  int is_there;
  errno = (int)rule_of("sync", fd, &is_there);
  return is_there ? -1 : 0;
}

int fsync(int fd) { return sync_fault(fd, "fsync") ? -1 : REAL(fsync)(fd); }

int fdatasync(int fd) { return sync_fault(fd, "fdatasync") ? -1 : REAL(fdatasync)(fd); }

static void *map(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  int is_there = 0;
  if (fd >= 0) rule_of("map", fd, &is_there);
  if (is_there) {
    /* A file without a byte: every page is beyond its end. */
    int empty = memfd_create("empty", MFD_CLOEXEC);
    void *pages = REAL(mmap)(address, length, protection, flags, empty, 0);
    REAL(close)(empty);
    return pages;
  }
  return REAL(mmap)(address, length, protection, flags, fd, offset);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  return map(address, length, protection, flags, fd, offset);
}

void *mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset) {
  return map(address, length, protection, flags, fd, offset);
}

int statx(int fd, const char *restrict path, int flags, unsigned mask, struct statx *restrict status) {
  int result = REAL(statx)(fd, path, flags, mask, status), is_there;
  if (result || fd < 0 || fd >= DESCRIPTORS || *path) return result;
  rule_of("stale", fd, &is_there);
  if (!is_there) {
    has_size[fd] = 0;
  } else if (has_size[fd]) {
    status->stx_size = (unsigned long long)first_size[fd];
  } else {
    first_size[fd] = (long long)status->stx_size;
    has_size[fd] = 1;
  }
  return result;
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = REAL(clock_gettime)(clock, time), is_there;
  if (clock == CLOCK_REALTIME && !result) time->tv_sec += rule("clock", NULL, &is_there);
  return result;
}
