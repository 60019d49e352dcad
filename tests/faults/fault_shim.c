/* Faults of the operating system, for LD_PRELOAD.

   FAULT_RULES holds a line for each: call|path pattern|first-last|error or hang:SECONDS. A rule counts the calls
   whose path matches and strikes from the first to the last of them (0: without end). FAULT_CLOCK is added to
   the wall clock, in seconds. FAULT_MARK is a file to make when a hang begins. What has no path (socket, thread, …) matches "*". */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <netdb.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static struct rule {
	char call[16], pattern[512];
	int first, last, seen, error;
	double hang;
} rules[32];
static int rule_count;
static long clock_step;

__attribute__((constructor)) static void begin(void) {
	char *text = getenv("FAULT_RULES"), *step = getenv("FAULT_CLOCK"), *place = NULL;
	clock_step = step ? atol(step) : 0;
	text = text ? strdup(text) : NULL;
	for (char *line = text ? strtok_r(text, "\n", &place) : NULL; line && rule_count < 32;
	     line = strtok_r(NULL, "\n", &place)) {
		struct rule *rule = &rules[rule_count];
		if (sscanf(line, "%15[^|]|%511[^|]|%d-%d|hang:%lf", rule->call, rule->pattern, &rule->first, &rule->last,
		           &rule->hang) == 5 ||
		    sscanf(line, "%15[^|]|%511[^|]|%d-%d|%d", rule->call, rule->pattern, &rule->first, &rule->last,
		           &rule->error) == 5)
			rule_count++;
		else
			abort();
	}
}

/* Return the error that this call shall end with, or 0. A hang is over when this returns. */
static int fault(const char *call, const char *path) {
	for (int i = 0; i < rule_count; i++) {
		struct rule *rule = &rules[i];
		if (strcmp(rule->call, call) || fnmatch(rule->pattern, path, 0))
			continue;
		int number = __atomic_add_fetch(&rule->seen, 1, __ATOMIC_SEQ_CST);
		if (number < rule->first || (rule->last && number > rule->last))
			continue;
		if (rule->hang) {
			if (getenv("FAULT_MARK"))
				close(creat(getenv("FAULT_MARK"), 0644));
			struct timespec left = {(time_t)rule->hang, (long)((rule->hang - (long)rule->hang) * 1e9)};
			while (nanosleep(&left, &left))
				;
			continue;
		}
		return rule->error;
	}
	return 0;
}

static const char *of_descriptor(int descriptor, char *out) {
	char link[40];
	snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
	ssize_t length = readlink(link, out, 4095);
	out[length < 0 ? 0 : length] = 0;
	return out;
}

static const char *at(int folder, const char *path, char *out) {
	if (!path)
		return "";
	if (path[0] == '/' || folder == AT_FDCWD)
		return path;
	of_descriptor(folder, out);
	strncat(out, "/", 8191 - strlen(out));
	return strncat(out, path, 8191 - strlen(out));
}

#define STRIKE(call, path, failure)                                                                                    \
	do {                                                                                                               \
		char room[8192];                                                                                               \
		(void)room;                                                                                                    \
		int error = fault(call, path);                                                                                 \
		if (error) {                                                                                                   \
			errno = error;                                                                                             \
			return failure;                                                                                            \
		}                                                                                                              \
	} while (0)

static mode_t mode_of(int flags, va_list rest) { return flags & (O_CREAT | __O_TMPFILE) ? va_arg(rest, mode_t) : 0; }

#define OPEN(name)                                                                                                     \
	int name(const char *path, int flags, ...) {                                                                       \
		va_list rest;                                                                                                  \
		va_start(rest, flags);                                                                                         \
		mode_t mode = mode_of(flags, rest);                                                                            \
		va_end(rest);                                                                                                  \
		STRIKE("open", path, -1);                                                                                      \
		return REAL(name)(path, flags, mode);                                                                          \
	}
#define OPENAT(name)                                                                                                   \
	int name(int folder, const char *path, int flags, ...) {                                                           \
		va_list rest;                                                                                                  \
		va_start(rest, flags);                                                                                         \
		mode_t mode = mode_of(flags, rest);                                                                            \
		va_end(rest);                                                                                                  \
		STRIKE("open", at(folder, path, room), -1);                                                                    \
		return REAL(name)(folder, path, flags, mode);                                                                  \
	}
#define STAT(call, name, kind)                                                                                         \
	int name(const char *path, struct kind *out) {                                                                     \
		STRIKE(call, path, -1);                                                                                        \
		return REAL(name)(path, out);                                                                                  \
	}
#define READ(name, offset_t)                                                                                           \
	ssize_t name(int file, void *out, size_t size, offset_t offset) {                                                  \
		STRIKE("read", of_descriptor(file, room), -1);                                                                 \
		return REAL(name)(file, out, size, offset);                                                                    \
	}
#define READDIR(name, kind)                                                                                            \
	struct kind *name(DIR *folder) {                                                                                   \
		STRIKE("readdir", of_descriptor(dirfd(folder), room), NULL);                                                   \
		return REAL(name)(folder);                                                                                     \
	}

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
STAT("stat", stat, stat)
STAT("stat", stat64, stat64)
STAT("stat", lstat, stat)
STAT("stat", lstat64, stat64)
STAT("statvfs", statvfs, statvfs)
STAT("statvfs", statvfs64, statvfs64)
READ(pread, off_t)
READ(pread64, off64_t)
READDIR(readdir, dirent)
READDIR(readdir64, dirent64)

int fstatat64(int folder, const char *path, struct stat64 *out, int flags) {
	STRIKE("stat", at(folder, path, room), -1);
	return REAL(fstatat64)(folder, path, out, flags);
}

ssize_t read(int file, void *out, size_t size) {
	STRIKE("read", of_descriptor(file, room), -1);
	return REAL(read)(file, out, size);
}

ssize_t write(int file, const void *content, size_t size) {
	STRIKE("write", of_descriptor(file, room), -1);
	return REAL(write)(file, content, size);
}

int fsync(int file) {
	STRIKE("fsync", of_descriptor(file, room), -1);
	return REAL(fsync)(file);
}

int flock(int file, int operation) {
	STRIKE("flock", of_descriptor(file, room), -1);
	return REAL(flock)(file, operation);
}

DIR *opendir(const char *path) {
	STRIKE("opendir", path, NULL);
	return REAL(opendir)(path);
}

int mkdir(const char *path, mode_t mode) {
	STRIKE("mkdir", path, -1);
	return REAL(mkdir)(path, mode);
}

int rename(const char *from, const char *to) {
	STRIKE("rename", to, -1);
	return REAL(rename)(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
	STRIKE("rename", at(to_folder, to, room), -1);
	return REAL(renameat)(from_folder, from, to_folder, to);
}

int socket(int domain, int type, int protocol) {
	if (domain == AF_INET || domain == AF_INET6)
		STRIKE("socket", "*", -1);
	return REAL(socket)(domain, type, protocol);
}

int connect(int file, const struct sockaddr *address, socklen_t size) {
	if (address->sa_family == AF_INET || address->sa_family == AF_INET6)
		STRIKE("connect", "*", -1);
	return REAL(connect)(file, address, size);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *how, void *(*run)(void *), void *with) {
	int error = fault("thread", "*");
	return error ? error : REAL(pthread_create)(thread, how, run, with);
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *wanted, struct addrinfo **found) {
	int error = fault("resolve", name ? name : "");
	return error ? error : REAL(getaddrinfo)(name, service, wanted, found);
}

int clock_gettime(clockid_t clock, struct timespec *out) {
	int ended = REAL(clock_gettime)(clock, out);
	if (clock == CLOCK_REALTIME)
		out->tv_sec += clock_step;
	return ended;
}
