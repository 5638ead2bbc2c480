// SPDX-License-Identifier: Apache-2.0
// What the agent sends: frames on its port, and to the kernel's log what did not work.

#include "requests.h"

enum { PART = 1, END, LOG, EVENT, LOST, REQUEST };
enum { HEAD = 9, FRAME_MAX = 64 << 10, RECORD_MAX = 8192, DRAINED = 4096 };

static u8 outgoing[4 + HEAD + PART_MAX];
static int port, log_fd, events;
static int here, greeted;           // whether there is a host, and a conversation

// Says in the kernel's log what did not work, which is all that can be done about it.
static void complain(const char *what, const char *of, long error) {
    char line[300] = "<3>kmodd's agent: ";
    size_t size = 18;
    int fd = (int)open_file("/dev/kmsg", O_WRONLY);
    for (; *what && size < 100; what++) line[size++] = *what;
    for (; *of && size < 270; of++) line[size++] = *of;
    for (const char *more = ": errno "; *more; more++) line[size++] = *more;
    size = (size_t)(spell(line + size, (u32)-error) - line);
    line[size++] = '\n';
    if (fd >= 0) write_some(fd, line, size), close_file(fd);
}

// Writes everything, or nothing more once the host is gone.
static void send_bytes(const u8 *at, size_t size) {
    while (size && here) {
        ssize_t wrote = write_some(port, at, size);
        if (wrote >= 0) {
            at += wrote, size -= (size_t)wrote;
        } else if (wrote == -EAGAIN) {
            struct poll ready = {port, POLLOUT, 0};
            wait_for(&ready, 1, 1000);
            if (ready.found & (POLLHUP | POLLERR)) here = greeted = 0;
        } else {
            here = greeted = 0;
        }
    }
}

// Sends the frame whose body of `size` bytes is in `outgoing`, behind the head.
static void send_frame(int kind, u32 number, size_t size) {
    put(outgoing, (u32)(5 + size));
    put(outgoing + 4, number);
    outgoing[8] = (u8)kind;
    send_bytes(outgoing, HEAD + size);
}

static void send_end(u32 number, long error, int stage) {
    put(outgoing + HEAD, (u32)error);
    outgoing[HEAD + 4] = (u8)stage;
    send_frame(END, number, 5);
}

// Sends what the kernel has said until now: whoever is told of the end of a call knows its log.
static void send_news(void) {
    for (int i = 0; log_fd >= 0 && greeted && i < DRAINED; i++) {
        ssize_t size = read_some(log_fd, outgoing + HEAD, RECORD_MAX);
        if (size == -EPIPE) continue;
        if (size <= 0) break;
        send_frame(LOG, 0, (size_t)size);
    }
    for (int i = 0; events >= 0 && greeted && i < DRAINED; i++) {
        ssize_t size = read_some(events, outgoing + HEAD, RECORD_MAX);
        if (size == -ENOBUFS) {
            send_frame(LOST, 0, 0);
            continue;
        }
        if (size < 0) break;
        send_frame(EVENT, 0, (size_t)size);
    }
}
