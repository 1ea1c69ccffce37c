/* /kaniko/executor: finds the program that it belongs to, and starts it.
 *
 * Theory of operation. In gazami's image the program is /kaniko: a Python with its loader, its libraries and gazami. The file
 * /kaniko/.program says which one it is; when it is ours, it is started, and nothing else is read. Where it is missing, or another
 * version's, this file was copied alone (COPY --from=.../executor /kaniko/executor /anywhere). Then the same files, which
 * single.py appended to this one, are unpacked into the state directory, once:
 *
 *   this ELF | index | xz archive of the files' bytes, in the order of the index | struct trailer
 *
 * A line of the index is "d MODE PATH", "l TARGET PATH", "f MODE SIZE HASH PATH" or "r MODE SIZE HASH PATH". Files of the kind r
 * name PLACEHOLDER, "/kaniko" with slashes up to a fixed length, wherever they mean the folder that they lie in (RPATH, the ELF
 * interpreter): the real folder is written over it, filled up with slashes.
 *
 * An unpacked copy is used when every file of the index is there with its size and its hash, at each start: a half-unpacked or a
 * changed copy is put aside and unpacked again. Processes that start together wait for each other at a lock; files are
 * unpacked beside and renamed. The hash tells damage, not enemies: against those the folder has the mode 0700 and is ours.
 *
 * Statically linked: it runs in images without a C library, a shell, /proc and /tmp. single.py gives PROGRAM, a digest of the
 * index and of this text. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <lzma.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define HOME_OF_IMAGE "/kaniko"
#define PLACE_LENGTH 127 /* of PLACEHOLDER: no folder with a longer name can be used */
#define MAGIC "gazami1\n"

struct trailer { /* numbers as the machine has them: the file is for one architecture */
    uint64_t index_length, archive_length, unpacked_length;
    char magic[8];
};

struct carried {
    const char *index, *archive;
    struct trailer end;
};

static char reasons[4096]; /* why each place was passed over, for the message of the last resort */

static int passed_over(const char *place, const char *why) {
    size_t used = strlen(reasons);
    snprintf(reasons + used, sizeof reasons - used, "\n  %s: %s", place, why);
    return 0;
}

static void fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fputs("Error: ", stderr);
    vfprintf(stderr, format, arguments);
    fputs("\n", stderr);
    va_end(arguments);
    exit(1);
}

static char *text(const char *format, ...) {
    char *made;
    va_list arguments;
    va_start(arguments, format);
    if (vasprintf(&made, format, arguments) < 0) fail("out of memory");
    va_end(arguments);
    return made;
}

/* -- the program's start -------------------------------------------------------------------------------------------------- */

static void start(const char *folder, int count, char **words) {
    char *program = text("%s/libexec/executor", folder); /* a link to python3: the name that ps and pgrep show */
    char **argv = calloc((size_t)count + 4, sizeof *argv);
    if (!argv) fail("out of memory");
    argv[0] = text("%s/bin/python3", folder);
    argv[1] = "-IB";
    argv[2] = text("%s/libexec/executor.py", folder);
    for (int i = 1; i < count; i++) argv[i + 2] = words[i];
    execv(program, argv);
    fail("cannot start %s: %s", argv[0], strerror(errno));
}

static int is_ours(const char *folder) {
    char said[128] = "";
    int file = open(folder, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    ssize_t length = read(file, said, sizeof said - 1);
    close(file);
    return length == (ssize_t)strlen(PROGRAM) && !memcmp(said, PROGRAM, strlen(PROGRAM));
}

/* -- what this file carries ----------------------------------------------------------------------------------------------- */

static struct carried own_bytes(void) {
    struct stat info;
    struct carried found;
    const char *path = (const char *)getauxval(AT_EXECFN);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC); /* a root may have no /proc */
    if (file < 0 && path) file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 || fstat(file, &info)) fail("cannot read the executor's own file: %s", strerror(errno));
    size_t size = (size_t)info.st_size;
    char *bytes = mmap(NULL, size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED) fail("cannot read the executor's own file: %s", strerror(errno));
    close(file);
    memcpy(&found.end, bytes + size - sizeof found.end, sizeof found.end);
    uint64_t appended = found.end.index_length + found.end.archive_length + sizeof found.end;
    if (memcmp(found.end.magic, MAGIC, 8) || found.end.index_length > size || found.end.archive_length > size || appended > size)
        fail("the executor's file is not whole: copy it again (COPY --from=IMAGE /kaniko/executor ...)");
    found.index = bytes + size - appended;
    found.archive = found.index + found.end.index_length;
    return found;
}

static char *unpacked(const struct carried *own) {
    char *bytes = mmap(NULL, own->end.unpacked_length + 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED) fail("out of memory: unpacking the executor needs %llu MB",
                                  (unsigned long long)own->end.unpacked_length / 1000000 + 70);
    uint64_t memory = UINT64_MAX;
    size_t in = 0, out = 0;
    lzma_ret done = lzma_stream_buffer_decode(&memory, 0, NULL, (const uint8_t *)own->archive, &in, own->end.archive_length,
                                              (uint8_t *)bytes, &out, own->end.unpacked_length);
    if (done == LZMA_MEM_ERROR) fail("out of memory: unpacking the executor needs %llu MB",
                                     (unsigned long long)own->end.unpacked_length / 1000000 + 70);
    if (done != LZMA_OK || out != own->end.unpacked_length)
        fail("the executor's file is damaged: copy it again (COPY --from=IMAGE /kaniko/executor ...)");
    return bytes;
}

struct entry {
    char kind;
    unsigned mode;
    uint64_t size, hash;
    char target[512], path[512];
};

/* The next line of the index; NULL after the last one. */
static const char *next(const char *at, const char *end, struct entry *entry) {
    char line[1200];
    const char *stop = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    if (!stop || (size_t)(stop - at) >= sizeof line) return NULL;
    memcpy(line, at, (size_t)(stop - at));
    line[stop - at] = 0;
    entry->kind = line[0];
    unsigned long long size = 0, hash = 0;
    int fields;
    if (entry->kind == 'd') fields = sscanf(line + 2, "%o %511s", &entry->mode, entry->path) - 2;
    else if (entry->kind == 'l') fields = sscanf(line + 2, "%511s %511s", entry->target, entry->path) - 2;
    else fields = sscanf(line + 2, "%o %llu %llx %511s", &entry->mode, &size, &hash, entry->path) - 4;
    if (fields) return NULL;
    entry->size = size;
    entry->hash = hash;
    return stop + 1;
}

static uint64_t hash_of(const char *bytes, uint64_t length) { /* hash64 of single.py */
    uint64_t hash = length, word;
    for (; length >= 8; bytes += 8, length -= 8) {
        memcpy(&word, bytes, 8);
        hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    word = 0;
    memcpy(&word, bytes, length);
    hash = (hash ^ word) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

/* Write one name of the folder over the other in the bytes of a file; both have PLACE_LENGTH bytes. */
static void replace(char *bytes, uint64_t length, const char *old, const char *new) {
    char *end = bytes + length;
    while ((bytes = memmem(bytes, (size_t)(end - bytes), old, PLACE_LENGTH))) {
        memcpy(bytes, new, PLACE_LENGTH);
        bytes += PLACE_LENGTH;
    }
}

static void filled(char *name, const char *folder) {
    memset(name, '/', PLACE_LENGTH);
    memcpy(name, folder, strlen(folder));
}

/* -- an unpacked copy ----------------------------------------------------------------------------------------------------- */

static int file_is_whole(const char *path, const struct entry *entry, const char *folder) {
    struct stat info;
    int whole = 0, file = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return 0;
    if (!fstat(file, &info) && S_ISREG(info.st_mode) && (uint64_t)info.st_size == entry->size &&
        (info.st_mode & 07777) == entry->mode) {
        char old[PLACE_LENGTH], new[PLACE_LENGTH];
        char *bytes = entry->size ? mmap(NULL, entry->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0) : "";
        if (bytes != MAP_FAILED) {
            filled(old, folder);
            filled(new, HOME_OF_IMAGE);
            if (entry->kind == 'r') replace(bytes, entry->size, old, new);
            whole = hash_of(bytes, entry->size) == entry->hash;
            if (entry->size) munmap(bytes, entry->size);
        }
    }
    close(file);
    return whole;
}

static int is_whole(const char *folder, const struct carried *own) {
    struct entry entry;
    struct stat info;
    char path[1024], target[512];
    const char *end = own->index + own->end.index_length, *at = own->index;
    if (lstat(folder, &info) || !S_ISDIR(info.st_mode) || info.st_uid != geteuid() || info.st_mode & 022) return 0;
    while ((at = next(at, end, &entry))) {
        snprintf(path, sizeof path, "%s/%s", folder, entry.path);
        if (entry.kind == 'd' && (lstat(path, &info) || !S_ISDIR(info.st_mode))) return 0;
        if (entry.kind == 'l') {
            ssize_t length = readlink(path, target, sizeof target);
            if (length != (ssize_t)strlen(entry.target) || memcmp(target, entry.target, (size_t)length)) return 0;
        }
        if ((entry.kind == 'f' || entry.kind == 'r') && !file_is_whole(path, &entry, folder)) return 0;
    }
    return 1;
}

static int write_file(const char *path, const struct entry *entry, const char *bytes) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    uint64_t left = entry->size;
    if (file < 0) return -1;
    while (left) {
        ssize_t written = write(file, bytes, left);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        bytes += written;
        left -= (uint64_t)written;
    }
    int failed = left || fchmod(file, entry->mode);
    return close(file) || failed ? -1 : 0;
}

/* Write every file below part, as they are to be when part is renamed to folder. */
static int write_all(const char *part, const char *folder, const struct carried *own) {
    struct entry entry;
    char path[1024], old[PLACE_LENGTH], new[PLACE_LENGTH];
    char *bytes = unpacked(own), *all = bytes;
    const char *end = own->index + own->end.index_length, *at = own->index;
    int failed = mkdir(part, 0700);
    filled(old, HOME_OF_IMAGE);
    filled(new, folder);
    while (!failed && (at = next(at, end, &entry))) {
        snprintf(path, sizeof path, "%s/%s", part, entry.path);
        if (entry.kind == 'd') failed = mkdir(path, 0700);
        else if (entry.kind == 'l') failed = symlink(entry.target, path);
        else {
            if (entry.kind == 'r') replace(bytes, entry.size, old, new);
            failed = write_file(path, &entry, bytes);
            bytes += entry.size;
        }
    }
    int error = errno;
    munmap(all, own->end.unpacked_length + 1);
    errno = error;
    return failed;
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static int remove_tree(const char *path) { return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT); }

/* The folder of the program in a state directory, unpacked if need be; NULL with a reason when it cannot be there. */
static char *in_state(const char *state, const struct carried *own) {
    char *folder = text("%s/program-%.16s", state, PROGRAM), *part = text("%s.part", folder), *old = text("%s.old", folder);
    if (strlen(folder) > PLACE_LENGTH) return passed_over(state, "its name is too long"), NULL;
    if (strpbrk(folder, ":;$")) return passed_over(state, "its name has a character that the loader of programs reads"), NULL;
    if (is_whole(folder, own)) return folder;
    int lock = open(text("%s/program.lock", state), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (lock < 0) return passed_over(state, strerror(errno)), NULL;
    flock(lock, LOCK_EX); /* some file systems have no locks: then a rename below fails, and the other's copy is taken */
    if (!is_whole(folder, own)) {
        remove_tree(old);
        remove_tree(part);
        rename(folder, old);
        if (write_all(part, folder, own) || (rename(part, folder) && !is_whole(folder, own))) {
            passed_over(state, strerror(errno));
            folder = NULL;
        }
        remove_tree(part);
        remove_tree(old);
    }
    close(lock);
    return folder;
}

/* -- the state directory: the rules of gazami's own (docs/reference/files-and-state.md) ------------------------------------- */

static int holds_only_state(const char *path) {
    static const char *names[] = {"indexes", "cache-mounts", "inplace", "cache", "lost+found", ".", "..", NULL};
    struct dirent *each;
    int only = 1;
    DIR *folder = opendir(path);
    if (!folder) return 0;
    while (only && (each = readdir(folder))) {
        only = !strncmp(each->d_name, "build-", 6) || !strncmp(each->d_name, "program", 7);
        for (const char **name = names; *name && !only; name++) only = !strcmp(each->d_name, *name);
    }
    closedir(folder);
    return only;
}

/* The first error, 0 without one. */
static int make_parents(const char *path) {
    int error = 0;
    char *copy = text("%s", path);
    for (char *slash = strchr(copy + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        if (mkdir(copy, 0777) && errno != EEXIST && !error) error = errno;
        *slash = '/';
    }
    free(copy);
    return error;
}

/* A folder that is this user's alone: the place, or gazami-UID in it. NULL with a reason. */
static const char *claimed(const char *place) {
    struct stat info;
    int error = make_parents(place); /* that there is none to be made on a read-only file system may be an error too */
    if (mkdir(place, 0700) && errno != EEXIST) return passed_over(place, strerror(errno == ENOENT && error ? error : errno)), NULL;
    if (lstat(place, &info)) return passed_over(place, strerror(errno)), NULL;
    if (!S_ISDIR(info.st_mode)) return passed_over(place, "not a directory"), NULL;
    if (info.st_uid == geteuid()) {
        if (!(info.st_mode & 077)) return place;
        if (holds_only_state(place) && !chmod(place, 0700)) return place;
        if (info.st_mode & 022 && !(info.st_mode & S_ISVTX)) return passed_over(place, "other users may change it"), NULL;
    } else if (info.st_uid != 0) return passed_over(place, "another user's"), NULL;
    char *own = text("%s/gazami-%u", place, (unsigned)geteuid());
    if (mkdir(own, 0700) && errno != EEXIST) return passed_over(own, strerror(errno)), NULL;
    if (lstat(own, &info) || !S_ISDIR(info.st_mode) || info.st_uid != geteuid() || chmod(own, 0700))
        return passed_over(own, "another user's, or not a directory"), NULL;
    return own;
}

static char *tried(const char *place, const struct carried *own) {
    struct statvfs system;
    const char *state = claimed(place);
    if (!state) return NULL;
    if (!statvfs(state, &system) && system.f_flag & ST_NOEXEC)
        return passed_over(place, "programs cannot be started there (noexec)"), NULL;
    return in_state(state, own);
}

static const char *variable(const char *name) {
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

static const char *given_state(int count, char **words) {
    const char *given = variable("GAZAMI_STATE_DIR");
    for (int i = 1; i < count; i++) {
        if (!strncmp(words[i], "--state-dir=", 12)) given = words[i] + 12;
        else if (!strcmp(words[i], "--state-dir") && i + 1 < count) given = words[++i];
    }
    return given;
}

static char *absolute(const char *path) {
    char here[4096];
    if (*path == '/' || !getcwd(here, sizeof here)) return text("%s", path);
    return text("%s/%s", here, path);
}

static int is_mounted(const char *path) {
    struct stat info, parent;
    return !lstat(path, &info) && !stat(text("%s/..", path), &parent) && S_ISDIR(info.st_mode) &&
           (info.st_dev != parent.st_dev || info.st_ino == parent.st_ino);
}

int main(int count, char **words) {
    if (is_ours(HOME_OF_IMAGE "/.program")) start(HOME_OF_IMAGE, count, words);
    struct carried own = own_bytes();
    const char *given = given_state(count, words), *value;
    char *places[6], *folder = NULL;
    int many = 0;
    if (given && *given) places[many++] = absolute(given);
    if (is_mounted(HOME_OF_IMAGE "/state")) places[many++] = HOME_OF_IMAGE "/state";
    if ((value = variable("XDG_CACHE_HOME")) && *value == '/') places[many++] = text("%s/gazami", value);
    if ((value = variable("TMPDIR"))) places[many++] = text("%s/gazami-%u", absolute(value), (unsigned)geteuid());
    if ((value = variable("HOME")) && *value == '/' && value[1]) places[many++] = text("%s/.cache/gazami", value);
    places[many++] = text("/tmp/gazami-%u", (unsigned)geteuid());
    for (int i = 0; i < many && !folder; i++) folder = tried(places[i], &own);
    if (!folder)
        fail("the executor was copied without the rest of /kaniko, and there is no place to unpack it:%s\n"
             "  mount a writable volume, and name it with TMPDIR or GAZAMI_STATE_DIR; or copy all of /kaniko", reasons);
    start(folder, count, words);
}
