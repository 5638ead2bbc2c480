// SPDX-License-Identifier: Apache-2.0
// The first process of a guest that kmodd has booted, and its only program: makes the system calls
// that are asked of it, and tells of the kernel's log and its events. It needs no library.
//
//   agent                          pid 1: mounts what there is to mount, loads the modules whose
//                                  paths /modules/list has, one a line, and serves the virtio port
//                                  org.kmodd.agent
//   agent --port FD NAME           serves a stream that is open; requests for modules come to NAME
//   agent [--at NAME] -q -- WORD   what the kernel calls as modprobe (kernel.modprobe): has pid 1
//                                  ask for WORD, and ends as it is told to
//
// What is said on the port is described in kmodd/kernel/vm/wire.py. Each request but those that
// cannot block is a worker's, a process of its own, so that one which hangs stops no other; pid 1
// waits for nobody. A worker takes the next request once it is done with one: to start a process
// takes an emulated processor longer than most requests.

#include "boot.h"

enum { VERSION = 1, ASKING = 64 };

struct asking {
    u32 number;
    int fd, told;        // a process that waits for a module, and whether its word was passed on
};

static struct asking askings[ASKING];
static struct poll files[4 + WORKERS + ASKING];
static u8 incoming[4 + FRAME_MAX + 1];
static size_t have;                 // bytes in `incoming`
static int asked, is_init;
static u32 last_asking;
static const char *asked_at = "kmodd-agent";

// ---- the kernel's requests for modules

static void set_modprobe(void) {
    long fd = open_file("/proc/sys/kernel/modprobe", O_WRONLY);
    if (fd < 0) return;
    write_some((int)fd, "/init", 5);
    close_file((int)fd);
}

static size_t address(u8 *at, const char *name) {
    size_t size = length(name);
    if (size > 100) size = 100;
    *(unsigned short *)at = AF_UNIX;
    at[2] = 0;
    memcpy(at + 3, name, size);
    return 3 + size;
}

static long open_asked(const char *name) {
    u8 to[112];
    long fd = CALL(SOCKET, AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
    if (fd >= 0 && CALL(BIND, fd, to, address(to, name), 0, 0) < 0) return -1;
    CALL(LISTEN, fd, ASKING, 0, 0, 0);
    return fd;
}

static void take_in_asking(void) {
    int i = 0;
    while (i < ASKING && askings[i].number) i++;
    if (i == ASKING) return;
    long fd = CALL(ACCEPT4, asked, 0, 0, O_CLOEXEC | O_NONBLOCK, 0);
    if (fd < 0) return;
    if (!++last_asking) last_asking = 1;
    askings[i] = (struct asking){last_asking, (int)fd, 0};
}

static void forget_asking(struct asking *asking) {
    close_file(asking->fd);
    asking->number = 0;
}

static void hear_asking(struct asking *asking) {
    ssize_t size = read_some(asking->fd, outgoing + HEAD, 1024);
    if (size == -EAGAIN) return;
    if (size <= 0 || asking->told || !greeted) {
        forget_asking(asking);
        return;
    }
    asking->told = 1;
    send_frame(REQUEST, asking->number, (size_t)size);
}

static void answer_asking(u32 number, u8 status) {
    for (int i = 0; i < ASKING; i++)
        if (number && askings[i].number == number) {
            write_some(askings[i].fd, &status, 1);
            forget_asking(askings + i);
        }
}

// What the kernel calls as modprobe: asks, waits, and ends with the status that it is told.
static void ask(const char *word) {
    u8 to[112], status = 1;
    long fd = CALL(SOCKET, AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0, 0, 0);
    if (fd < 0 || CALL(CONNECT, fd, to, address(to, asked_at), 0, 0) < 0) leave(1);
    if (write_some((int)fd, word, length(word)) < 0) leave(1);
    leave(read_some((int)fd, &status, 1) == 1 ? status : 1);
}

// ---- what is received

static void greet(u32 number) {
    u8 *at = outgoing + HEAD + 4;
    u8 names[6 * 65];
    greeted = 1;
    for (int i = 0; i < WORKERS; i++) workers[i].number = 0, workers[i].upload = 0;
    for (int i = 0; i < UPLOADS; i++) drop_upload(uploads + i);
    for (int i = 0; i < ASKING; i++)
        if (askings[i].number) forget_asking(askings + i);
    put(outgoing + HEAD, VERSION);
    CALL(UNAME, names, 0, 0, 0, 0);
    for (int i = 2; i < 5; i += 2) {       // the release, the machine
        size_t size = length((char *)names + 65 * i) + 1;
        memcpy(at, names + 65 * i, size);
        at += size;
    }
    send_frame(PART, number, (size_t)(at - outgoing - HEAD));
    if (log_fd >= 0) CALL(LSEEK, log_fd, 0, SEEK_SET, 0, 0);
    if (is_init) set_modprobe();
    send_news();
    send_end(number, 0, 0);
}

static void take_in(u32 number, int kind, u8 *body, size_t size) {
    here = 1;
    if (!greeted && kind != HELLO && kind != SYNC) return;
    switch (kind) {
    case HELLO: greet(number); break;
    case SYNC:
        send_news();
        send_end(number, 0, 0);
        break;
    case UPLOAD: take_in_upload(number, body, size); break;
    case DROP: drop_upload(number ? find_upload(number) : 0); break;
    case REPLY: answer_asking(number, size ? body[0] : 1); break;
    default: begin_call(number, kind, body, size);
    }
}

// Reads what there is of frames; gives whether the host is there. Nonsense ends the conversation.
static int hear_port(void) {
    ssize_t size = read_some(port, incoming + have, sizeof(incoming) - 1 - have);
    if (size == -EAGAIN) return 1;
    if (size <= 0) return 0;
    have += (size_t)size;
    size_t at = 0;
    while (have - at >= HEAD) {
        size_t whole = 4 + get(incoming + at);
        if (whole < HEAD || whole >= sizeof(incoming)) return 0;
        if (have - at < whole) break;
        // Texts at the end of a body end with a NUL while they are looked at.
        u8 behind = incoming[at + whole];
        incoming[at + whole] = 0;
        take_in(get(incoming + at + 4), incoming[at + 8], incoming + at + HEAD, whole - HEAD);
        incoming[at + whole] = behind;
        at += whole;
    }
    memmove(incoming, incoming + at, have - at);
    have -= at;
    return 1;
}

static void serve(void) {
    for (;;) {
        int count = 0, gone = 0;
        files[count++] = (struct poll){port, POLLIN, 0};
        files[count++] = (struct poll){greeted ? log_fd : -1, POLLIN, 0};
        files[count++] = (struct poll){greeted ? events : -1, POLLIN, 0};
        files[count++] = (struct poll){asked, POLLIN, 0};
        for (int i = 0; i < WORKERS; i++)
            files[count++] = (struct poll){workers[i].pid ? workers[i].output : -1, POLLIN, 0};
        for (int i = 0; i < ASKING; i++)
            files[count++] = (struct poll){askings[i].number ? askings[i].fd : -1, POLLIN, 0};
        wait_for(files, count, -1);
        if (files[1].found || files[2].found) send_news();
        for (int i = 0; i < WORKERS; i++)
            if (workers[i].pid && files[4 + i].found) hear_worker(workers + i);
        for (int i = 0; i < ASKING; i++)
            if (askings[i].number && files[4 + WORKERS + i].found) hear_asking(askings + i);
        if (files[3].found) take_in_asking();
        if (files[0].found & POLLIN) gone = !hear_port();
        else gone = files[0].found & (POLLHUP | POLLERR);
        if (!gone) continue;
        here = greeted = 0, have = 0;
        if (!is_init) leave(0);
        wait_for(0, 0, 5);     // until a host comes
    }
}

// ---- the start

static void open_streams(void) {
    // A netlink socket's address: the kernel's own group.
    u32 to[3] = {0, 0, 1}, room = 1 << 20;
    *(unsigned short *)to = AF_NETLINK;
    log_fd = (int)open_file("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    events = (int)CALL(SOCKET, AF_NETLINK, SOCK_DGRAM | O_CLOEXEC | O_NONBLOCK, 15, 0, 0);
    CALL(SETSOCKOPT, events, 1, 8, &room, sizeof(room));
    if (events >= 0 && CALL(BIND, events, to, sizeof(to), 0, 0) < 0) {
        close_file(events);
        events = -1;
    }
    asked = (int)open_asked(asked_at);
}

void run(long *start) {
    long count = start[0];
    char **words = (char **)(start + 1);
    // Who writes to what nobody reads is told so by an errno: SIGPIPE is ignored.
    long ignored[8] = {1};
    CALL(SIGACTION, SIGPIPE, ignored, 0, 8, 0);
    own_pid = CALL(GETPID, 0, 0, 0, 0, 0);
    is_init = own_pid == 1;
    if (is_init) {
        boot();
    } else if (count == 4 && same(words[1], "--port")) {
        for (const char *digit = words[2]; *digit; digit++) port = port * 10 + *digit - '0';
        asked_at = words[3];
    } else if (count >= 4 && same(words[1], "--at")) {
        asked_at = words[2];
        ask(words[count - 1]);
    } else if (count >= 2) {
        ask(words[count - 1]);
    } else {
        leave(2);
    }
    open_streams();
    serve();
}
