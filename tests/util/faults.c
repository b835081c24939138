/* Loaded into VES (LD_PRELOAD) by tests: makes system calls fail, or answer wrongly, as disks, network
 * file systems and clocks do. What is to happen stands in the file that FAULTS names and may change at
 * any time, one rule a line:
 *
 *   open ERRNO PATH      opening a path that contains PATH fails
 *   read ERRNO PATH      so does reading it
 *   write ERRNO PATH     and writing to it
 *   sync ERRNO PATH      fsync and fdatasync
 *   map 0 PATH           what is mapped of it raises SIGBUS, as pages do that the disk cannot read
 *   stale 0 PATH         a descriptor goes on telling the size that it told first
 *   clock SECONDS -      the wall clock is off by that
 *   random RATE SEED     of a thousand calls on files below the folder of FAULTS, and on inotify, RATE
 *                        fail or do less than they were asked to, chosen by SEED and by their number
 *   random RATE SEED CALL PATH
 *                        so many of that call on paths that end in PATH, whatever the rule before says
 *
 * Calls of sync are noted in the file FAULTS.log, random faults in FAULTS.random: what was called, how it
 * failed (an errno, or `short`), on which path.
 *
 * This is the seam between VES and the system: everything that the standard library, memmap2 and inotify
 * call in libc comes through here. rustix makes its system calls itself: poll, flock, eventfd, fstatfs and
 * the like are out of reach. VES calls no pwrite.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define DESCRIPTORS 4096
#define PATH_BYTES 4096

static long long first_size[DESCRIPTORS];
static char has_size[DESCRIPTORS];

/* The number of the rule for that call and path; 0 for none. `is_there` tells whether there is one. */
static long rule(const char *call, const char *path, int *is_there) {
  const char *name = getenv("FAULTS");
  FILE *rules = name ? fopen(name, "re") : NULL;
  char line[4600], verb[16], part[PATH_BYTES];
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

/* The path of an open file; empty where it has none. */
static void path_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_BYTES - 1);
  path[length > 0 ? length : 0] = 0;
}

static long rule_of(const char *call, int fd, int *is_there) {
  char path[PATH_BYTES];
  path_of(fd, path);
  *is_there = 0;
  return *path ? rule(call, path, is_there) : 0;
}

/* Whether random faults may hit that path: what VES reads and writes, not what a test hears of it. */
static int is_exposed(const char *path) {
  const char *name = getenv("FAULTS");
  const char *slash = name ? strrchr(name, '/') : NULL;
  if (!strcmp(path, "anon_inode:inotify")) return 1;
  if (!slash || strncmp(path, name, (size_t)(slash - name) + 1)) return 0;
  const char *rest = path + (slash - name) + 1;
  return strncmp(rest, "faults", 6) && strcmp(rest, "stderr");
}

/* The next number of a sequence that is the same for the same seed (splitmix64). */
static unsigned long long chosen(unsigned long long seed) {
  static unsigned long long calls;
  unsigned long long number = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
  number = seed * 0x9e3779b97f4a7c15ULL + number * 0xd1342543de82ef95ULL;
  number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9ULL;
  number = (number ^ (number >> 27)) * 0x94d049bb133111ebULL;
  return number ^ (number >> 31);
}

/* Whether `path` ends in `end`. */
static int ends_in(const char *path, const char *end) {
  size_t all = strlen(path), part = strlen(end);
  return all >= part && !strcmp(path + all - part, end);
}

/* The rate and the seed of the last rule for random faults that is for that call. Returns whether there is
 * one. */
static int random_rule(const char *call, const char *path, unsigned long long *rate,
                       unsigned long long *seed) {
  const char *name = getenv("FAULTS");
  FILE *rules = name ? fopen(name, "re") : NULL;
  char line[4600], verb[16], end[PATH_BYTES];
  unsigned long long new_rate, new_seed;
  int is_there = 0;
  while (rules && fgets(line, sizeof line, rules)) {
    int words = sscanf(line, "random %llu %llu %15s %4095s", &new_rate, &new_seed, verb, end);
    if (words == 2 || (words == 4 && !strcmp(verb, call) && ends_in(path, end))) {
      *rate = new_rate;
      *seed = new_seed;
      is_there = 1;
    }
  }
  if (rules) fclose(rules);
  return is_there;
}

/* Decides what becomes of a call on `path`: 0, or one of the errors, of which there are `count`. Of a call
 * with `bytes` of which some can be done, every other fault makes them fewer instead. */
static int random_fault(const char *call, const char *path, const int *errors, size_t count,
                        size_t *bytes) {
  unsigned long long rate, seed;
  if (!is_exposed(path) || !random_rule(call, path, &rate, &seed)) return 0;
  unsigned long long number = chosen(seed);
  if (number % 1000 >= rate) return 0;
  number /= 1000;
  char name[4200], what[16];
  int error = errors[number / 2 % count];
  if (bytes && *bytes > 1 && number % 2) {
    *bytes = 1 + number / 2 % (*bytes - 1);
    error = 0;
  }
  snprintf(what, sizeof what, error ? "%d" : "short", error);
  snprintf(name, sizeof name, "%s.random", getenv("FAULTS"));
  FILE *log = fopen(name, "ae");
  if (log) {
    fprintf(log, "%s %s %s\n", call, what, path);
    fclose(log);
  }
  return error;
}

#define ERRORS(...) (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int)

/* The same for an open file. */
static int random_fault_of(const char *call, int fd, const int *errors, size_t count, size_t *bytes) {
  char path[PATH_BYTES];
  path_of(fd, path);
  return random_fault(call, path, errors, count, bytes);
}

static int failed(int error) {
  errno = error;
  return -1;
}

int open64(const char *path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  mode_t mode = va_arg(rest, int);
  va_end(rest);
  int is_there;
  const char *rules = getenv("FAULTS");
  long error = rules && !strcmp(path, rules) ? 0 : rule("open", path, &is_there);
  if (!error) error = random_fault("open", path, ERRORS(EIO, EACCES, EMFILE, EINTR), NULL);
  return error ? failed((int)error) : REAL(open64)(path, flags, mode);
}

int close(int fd) {
  if (fd >= 0 && fd < DESCRIPTORS) has_size[fd] = 0;
  return REAL(close)(fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
  int is_there;
  long error = rule_of("write", fd, &is_there);
  if (!is_there) error = random_fault_of("write", fd, ERRORS(EIO, ENOSPC, EINTR), &count);
  return error ? failed((int)error) : REAL(write)(fd, bytes, count);
}

ssize_t read(int fd, void *bytes, size_t count) {
  char path[PATH_BYTES];
  path_of(fd, path);
  /* An event comes whole or not at all. */
  size_t *shortened = strcmp(path, "anon_inode:inotify") ? &count : NULL;
  int error = random_fault("read", path, ERRORS(EIO, EINTR), shortened);
  return error ? failed(error) : REAL(read)(fd, bytes, count);
}

ssize_t pread64(int fd, void *bytes, size_t count, off64_t offset) {
  int is_there;
  long error = rule_of("read", fd, &is_there);
  if (!is_there) error = random_fault_of("pread", fd, ERRORS(EIO, EINTR), &count);
  return error ? failed((int)error) : REAL(pread64)(fd, bytes, count, offset);
}

int ftruncate64(int fd, off64_t length) {
  int error = random_fault_of("truncate", fd, ERRORS(EIO, EINTR), NULL);
  return error ? failed(error) : REAL(ftruncate64)(fd, length);
}

DIR *opendir(const char *path) {
  int error = random_fault("opendir", path, ERRORS(EIO, EACCES, EMFILE), NULL);
  if (!error) return REAL(opendir)(path);
  errno = error;
  return NULL;
}

/* A file is watched by the path of its descriptor. */
int inotify_add_watch(int fd, const char *path, uint32_t mask) {
  char file[PATH_BYTES];
  ssize_t length = readlink(path, file, sizeof file - 1);
  file[length > 0 ? length : 0] = 0;
  int error = random_fault("watch", *file ? file : path, ERRORS(ENOSPC, EACCES, ENOMEM), NULL);
  return error ? failed(error) : REAL(inotify_add_watch)(fd, path, mask);
}

int rename(const char *old, const char *new) {
  int error = random_fault("rename", old, ERRORS(EIO, ENOSPC, EACCES), NULL);
  return error ? failed(error) : REAL(rename)(old, new);
}

static int sync_fault(int fd, const char *call) {
  char name[4200], path[PATH_BYTES];
  path_of(fd, path);
  snprintf(name, sizeof name, "%s.log", getenv("FAULTS") ? getenv("FAULTS") : "/dev/null");
  FILE *log = fopen(name, "ae");
  if (log && *path) {
    struct stat status;
    fprintf(log, "%s %s %lld\n", call, path, fstat(fd, &status) ? -1LL : (long long)status.st_size);
  }
  if (log) fclose(log);
  int is_there;
  long error = rule_of("sync", fd, &is_there);
  if (!is_there) error = random_fault(call, path, ERRORS(EIO, ENOSPC), NULL);
  return error ? failed((int)error) : 0;
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
  int error = fd < 0 ? 0 : random_fault_of("map", fd, ERRORS(ENOMEM, EACCES, EIO), NULL);
  if (error) {
    errno = error;
    return MAP_FAILED;
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
  int error = *path ? random_fault("stat", path, ERRORS(EIO, EACCES), NULL)
                    : random_fault_of("fstat", fd, ERRORS(EIO), NULL);
  if (error) return failed(error);
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
