// SPDX-License-Identifier: Apache-2.0
// What the agent does as the first process of a guest before it serves.

#include "workers.h"

static void mount_at(const char *kind, const char *directory) {
    CALL(MKDIRAT, AT_FDCWD, directory, 0755, 0, 0);
    long error = CALL(MOUNT, kind, directory, kind, 0, 0);
    if (error < 0) complain("cannot mount ", kind, error);
}

// Loads the modules of the list, in its order; the kernel may have some built in.
static void load_modules(void) {
    long list = open_file("/modules/list", O_RDONLY), size;
    if (list < 0) return;
    size = read_some((int)list, contents, CONTENTS_MAX - 1);
    close_file((int)list);
    for (long at = 0, end; at < size; at = end + 1) {
        for (end = at; end < size && contents[end] != '\n';) end++;
        contents[end] = 0;
        if (end == at) continue;
        const char *path = (char *)contents + at;
        long fd = open_file(path, O_RDONLY);
        long error = fd < 0 ? fd : CALL(FINIT_MODULE, fd, "", 0, 0, 0);
        if (error < 0 && error != -EEXIST) complain("cannot load ", path, error);
        if (fd >= 0) close_file((int)fd);
    }
}

// Opens the virtio port that has our name, or gives an errno below zero.
static long find_port(void) {
    static u8 entries[4096] __attribute__((aligned(8)));
    static const char name[] = "org.kmodd.agent\n";
    long ports = open_file("/sys/class/virtio-ports", O_RDONLY | O_DIRECTORY), size;
    long found = ports < 0 ? ports : -ENOENT;
    while (found == -ENOENT && (size = CALL(GETDENTS, ports, entries, sizeof(entries), 0, 0)) > 0) {
        for (long at = 0; at < size; at += *(unsigned short *)(entries + at + 16)) {
            char path[300] = "", text[sizeof(name)] = "";
            const char *entry = (const char *)entries + at + 19;
            memcpy(path, entry, length(entry) + 1);
            memcpy(path + length(entry), "/name", 6);
            long fd = open_at((int)ports, path, O_RDONLY);
            if (fd < 0) continue;
            read_some((int)fd, text, sizeof(text) - 1);
            close_file((int)fd);
            if (!same(text, name)) continue;
            memcpy(path, "/dev/", 5);
            memcpy(path + 5, entry, length(entry) + 1);
            found = open_file(path, O_RDWR | O_NONBLOCK);
        }
    }
    if (ports >= 0) close_file((int)ports);
    return found;
}

static void boot(void) {
    long found;
    mount_at("proc", "/proc");
    mount_at("sysfs", "/sys");
    mount_at("devtmpfs", "/dev");
    mount_at("debugfs", "/sys/kernel/debug");
    load_modules();
    for (int tries = 0; (found = find_port()) < 0; tries++) {
        if (tries == 1000) complain("no port ", "org.kmodd.agent", found);
        wait_for(0, 0, 5);
    }
    port = (int)found;
}
