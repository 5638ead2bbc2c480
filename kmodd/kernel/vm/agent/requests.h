// SPDX-License-Identifier: Apache-2.0
// What the agent's workers do: they carry out a request, and write what they find to their output:
// parts of the answer, the size of each before it, in 12 bytes.

#include "system_calls.h"

enum { HELLO = 1, SYNC, READ_FILE, LIST, FILES, LINK, STAT, WRITE_BELOW, UPLOAD, INSERT, DELETE,
       DROP, REPLY };
enum { UNOPENED = 1, CONTENTS_MAX = 1 << 20, PART_MAX = 32 << 10 };

static u8 contents[CONTENTS_MAX];
static long own_pid;                // pid 1's, in its workers, too

static size_t length(const char *text) {
    size_t size = 0;
    while (text[size]) size++;
    return size;
}

static int same(const char *a, const char *b) {
    while (*a && *a == *b) a++, b++;
    return *a == *b;
}

// Writes a number in decimal digits; gives the place behind it.
static char *spell(char *at, u32 value) {
    char digits[10];
    int count = 0;
    do digits[count++] = (char)('0' + value % 10);
    while (value /= 10);
    while (count) *at++ = digits[--count];
    return at;
}

static u32 get(const u8 *at) { return (u32)at[0] << 24 | at[1] << 16 | at[2] << 8 | at[3]; }

static void put(u8 *at, u32 value) {
    for (int i = 0; i < 4; i++) at[i] = (u8)(value >> (24 - 8 * i));
}

// Writes everything; gives whether there was somebody to read it.
static int tell(int output, const void *at, size_t size) {
    while (size) {
        ssize_t wrote = write_some(output, at, size);
        if (wrote < 0) return 0;
        at = (const u8 *)at + wrote, size -= (size_t)wrote;
    }
    return 1;
}

static void tell_all(int output, const void *at, size_t size) {
    if (!tell(output, at, size)) leave(0);
}

static void tell_part(int output, const void *at, size_t size) {
    while (size) {
        u8 head[12] = "";
        size_t part = size < PART_MAX ? size : PART_MAX;
        put(head, (u32)part);
        tell_all(output, head, sizeof(head));
        tell_all(output, at, part);
        at = (const u8 *)at + part, size -= part;
    }
}

static long do_read(int output, const char *path, size_t most) {
    long fd = open_file(path, O_RDONLY | O_NONBLOCK), size = 0;
    if (fd < 0) return fd;
    while (most) {
        size = read_some((int)fd, contents, most < CONTENTS_MAX ? most : CONTENTS_MAX);
        if (size <= 0) break;
        tell_part(output, contents, (size_t)size);
        most -= (size_t)size;
    }
    close_file((int)fd);
    return size < 0 ? size : 0;
}

static long do_stat(int directory, const char *path, u8 *mode) {
    u8 found[256] __attribute__((aligned(8)));
    long error = CALL(STATX, directory, path, 0, 1 | 2, found);
    if (error < 0) return error;
    put(mode, *(unsigned short *)(found + 28));
    return 0;
}

static void do_file(int output, int directory, const char *name, size_t most) {
    u8 head[16];
    long size = 0, error = do_stat(directory, name, head);
    if (error < 0) return;
    long fd = open_at(directory, name, O_RDONLY | O_NONBLOCK);
    if (most > CONTENTS_MAX) most = CONTENTS_MAX;
    error = fd < 0 ? fd : 0;
    while (fd >= 0 && (size_t)size < most) {
        long more = read_some((int)fd, contents + size, most - (size_t)size);
        if (more < 0) error = more, size = 0;
        if (more <= 0) break;
        size += more;
    }
    if (fd >= 0) close_file((int)fd);
    put(head + 4, (u32)-error);
    put(head + 8, (u32)length(name));
    put(head + 12, (u32)size);
    tell_part(output, head, sizeof(head));
    tell_part(output, name, length(name));
    tell_part(output, contents, (size_t)size);
}

// Tells the names in a directory, a NUL behind each; or of its files what they hold.
static long do_list(int output, const char *path, int with_contents, size_t most) {
    static u8 entries[32 << 10] __attribute__((aligned(8)));
    long directory = open_file(path, O_RDONLY | O_DIRECTORY), size;
    if (directory < 0) return directory;
    while ((size = CALL(GETDENTS, directory, entries, sizeof(entries), 0, 0)) > 0) {
        for (long at = 0; at < size; at += *(unsigned short *)(entries + at + 16)) {
            const char *name = (const char *)entries + at + 19;
            if (same(name, ".") || same(name, "..")) continue;
            if (with_contents) do_file(output, (int)directory, name, most);
            else tell_part(output, name, length(name) + 1);
        }
    }
    close_file((int)directory);
    return size;
}

static long do_link(int output, const char *path) {
    long size = CALL(READLINKAT, AT_FDCWD, path, contents, CONTENTS_MAX, 0);
    if (size > 0) tell_part(output, contents, (size_t)size);
    return size < 0 ? size : 0;
}

// Writes to the file that the names behind the first path lead to, of which none may be a link.
static long do_write(u8 *body, size_t size, int *stage) {
    size_t data = get(body), paths = size - 4 - data;
    char *at = (char *)body + 4, *end = at + paths;
    long fd = open_file(at, O_RDONLY | O_DIRECTORY);
    *stage = UNOPENED;
    for (at += length(at) + 1; fd >= 0 && at < end; at += length(at) + 1) {
        int last = at + length(at) + 1 >= end, above = (int)fd;
        int flags = last ? O_WRONLY | O_NONBLOCK : O_RDONLY | O_DIRECTORY;
        fd = open_at(above, at, flags | O_NOFOLLOW);
        close_file(above);
    }
    if (fd < 0) return fd;
    *stage = 0;
    long wrote = write_some((int)fd, end, data);
    close_file((int)fd);
    return wrote < 0 ? wrote : (size_t)wrote < data ? -E2BIG : 0;
}

// Copies a file to the end of this process's memory and has the kernel load it from there.
static long insert_image(int fd, const char *parameters) {
    long size = CALL(LSEEK, fd, 0, SEEK_END, 0, 0), start = CALL(BRK, 0, 0, 0, 0, 0), error = 0;
    if (size < 0) return size;
    if (CALL(BRK, start + size, 0, 0, 0, 0) < start + size) return -ENOMEM;
    for (long at = 0; !error && at < size;) {
        long more = CALL(PREAD, fd, start + at, size - at, at, 0);
        if (more <= 0) error = more ? more : -EIO;
        else at += more;
    }
    if (!error) error = CALL(INIT_MODULE, start, size, parameters, 0, 0);
    CALL(BRK, start, 0, 0, 0, 0);
    return error;
}

// Loads what is open in pid 1 as `upload`; a worker has been there for longer.
static long do_insert(u32 upload, u32 flags, int is_file, const char *parameters) {
    char path[40] = "/proc/", *at = path + 6;
    at = spell(at, (u32)own_pid);
    memcpy(at, "/fd/", 4);
    *spell(at + 4, upload) = 0;
    long fd = open_file(path, O_RDONLY);
    if (fd < 0) return fd;
    long error = is_file ? CALL(FINIT_MODULE, fd, parameters, flags, 0, 0)
                         : insert_image((int)fd, parameters);
    close_file((int)fd);
    return error;
}

// Carries out a request of `size` bytes, behind which there is a NUL; gives 0, or an errno below 0.
static long carry_out(int kind, u8 *body, size_t size, u32 upload, int output, int *stage) {
    switch (kind) {
    case READ_FILE: return do_read(output, (char *)body + 4, get(body));
    case LIST: return do_list(output, (char *)body, 0, 0);
    case FILES: return do_list(output, (char *)body + 4, 1, get(body));
    case LINK: return do_link(output, (char *)body);
    case STAT: {
        u8 mode[4];
        long error = do_stat(AT_FDCWD, (char *)body, mode);
        if (!error) tell_part(output, mode, sizeof(mode));
        return error;
    }
    case WRITE_BELOW: return do_write(body, size, stage);
    case INSERT: return do_insert(upload, get(body + 4), body[8], (char *)body + 9);
    case DELETE: return CALL(DELETE_MODULE, body + 4, get(body), 0, 0, 0);
    }
    return -EINVAL;
}

// Whether there is as much as the kind of the request takes.
static int is_whole(int kind, const u8 *body, size_t size) {
    switch (kind) {
    case LIST: case LINK: case STAT: return size > 0;
    case READ_FILE: case FILES: case DELETE: return size > 4;
    case INSERT: return size >= 9;
    case WRITE_BELOW: {
        // Two paths at least, and a NUL behind the last of them.
        if (size < 8 || get(body) > size - 8) return 0;
        size_t end = size - get(body), names = 0;
        for (size_t i = 4; i < end; i++) names += !body[i];
        return names >= 2 && !body[end - 1];
    }
    }
    return 0;
}
