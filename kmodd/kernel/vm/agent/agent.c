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
// cannot block is a child's, so that one which hangs stops no other; pid 1 waits for nobody.

#include "requests.h"

enum { PART = 1, END, LOG, EVENT, LOST, REQUEST };
enum { VERSION = 1, HEAD = 9, FRAME_MAX = 64 << 10, RECORD_MAX = 8192, PART_MAX = 32 << 10 };
enum { CALLS = 128, UPLOADS = 64, ASKING = 64, DRAINED = 4096 };

struct call {
    u32 number;
    int pid, output;     // 0 where the place is free; what the child writes to
};

struct asking {
    u32 number;
    int fd, told;        // a process that waits for a module, and whether its word was passed on
};

static struct call calls[CALLS];
static struct upload uploads[UPLOADS];
static struct asking askings[ASKING];
static struct poll files[4 + CALLS + ASKING];
static u8 incoming[4 + FRAME_MAX + 1], outgoing[4 + HEAD + PART_MAX];
static size_t have;                 // bytes in `incoming`
static int port, log_fd, events, asked, outcomes;
static int here, greeted, is_init;     // whether there is a host, and a conversation
static u32 last_asking;
static const char *asked_at = "kmodd-agent";

// Says in the kernel's log what did not work, which is all that can be done about it.
static void complain(const char *what, const char *of, long error) {
    char line[300] = "<3>kmodd's agent: ", digits[12];
    size_t size = 18, count = 0;
    int fd = (int)open_file("/dev/kmsg", O_WRONLY);
    for (; *what && size < 100; what++) line[size++] = *what;
    for (; *of && size < 270; of++) line[size++] = *of;
    for (const char *more = ": errno "; *more; more++) line[size++] = *more;
    for (error = -error; error > 0 && count < 10; error /= 10) digits[count++] = '0' + error % 10;
    while (count) line[size++] = digits[--count];
    line[size++] = '\n';
    if (fd >= 0) write_some(fd, line, size), close_file(fd);
}

// ---- what is sent

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

// ---- calls

static struct upload *find_upload(u32 number) {
    for (int i = 0; i < UPLOADS; i++)
        if (uploads[i].number == number) return uploads + i;
    return 0;
}

static void drop_upload(struct upload *upload) {
    if (upload && upload->number && upload->fd >= 0) close_file(upload->fd);
    if (upload) *upload = (struct upload){0, -1, 0};
}

static void take_in_upload(u32 number, const u8 *at, size_t size) {
    struct upload *upload = number ? find_upload(number) : 0;
    if (!upload && number && (upload = find_upload(0))) {
        long fd = CALL(MEMFD_CREATE, "module", 1, 0, 0, 0);
        *upload = (struct upload){number, (int)fd, fd < 0 ? (int)fd : 0};
    }
    while (upload && !upload->error && size) {
        ssize_t wrote = write_some(upload->fd, at, size);
        if (wrote <= 0) upload->error = wrote ? (int)wrote : -EIO;
        else at += wrote, size -= (size_t)wrote;
    }
}

static void begin_call(u32 number, int kind, u8 *body, size_t size) {
    struct upload none = {0, -1, 0}, *upload = &none;
    if (!number || !is_whole(kind, body, size)) {
        send_end(number, EINVAL, 0);
        return;
    }
    if (kind == INSERT && get(body) && find_upload(get(body))) upload = find_upload(get(body));
    int i = 0, ends[2];
    while (i < CALLS && calls[i].pid) i++;
    long pid = i == CALLS ? -EUSERS : CALL(PIPE2, ends, O_CLOEXEC, 0, 0, 0);
    if (pid >= 0 && (pid = fork_child()) == 0) {
        u8 outcome[12];
        int stage = 0;
        close_file(port);
        long error = carry_out(kind, body, size, upload, ends[1], &stage);
        put(outcome, number);
        put(outcome + 4, (u32)-error);
        put(outcome + 8, (u32)stage);
        CALL(PWRITE, outcomes, outcome, sizeof(outcome), i * (long)sizeof(outcome), 0);
        leave(0);
    }
    if (upload != &none) drop_upload(upload);
    if (pid < 0) {
        if (i < CALLS && pid != -EUSERS) complain("no process for a call", "", pid);
        send_end(number, -pid, 0);
        return;
    }
    close_file(ends[1]);
    calls[i] = (struct call){number, (int)pid, ends[0]};
}

// Passes on what a child has written, and its end.
static void continue_call(int i) {
    ssize_t size = read_some(calls[i].output, outgoing + HEAD, PART_MAX);
    u8 outcome[12];
    if (size > 0) {
        if (calls[i].number) send_frame(PART, calls[i].number, (size_t)size);
        return;
    }
    close_file(calls[i].output);
    CALL(WAIT4, calls[i].pid, 0, 0, 0, 0);
    send_news();
    // A child that the kernel has ended has left no word of this call.
    long got = CALL(PREAD, outcomes, outcome, sizeof(outcome), i * (long)sizeof(outcome), 0);
    if (!calls[i].number)
        ;   // made for a host that has gone
    else if (got == sizeof(outcome) && get(outcome) == calls[i].number)
        send_end(calls[i].number, get(outcome + 4), (int)get(outcome + 8));
    else
        send_end(calls[i].number, EOWNERDEAD, 0);
    CALL(PWRITE, outcomes, "\0\0\0\0", 4, i * (long)sizeof(outcome), 0);
    calls[i].pid = 0;
}

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
    if (fd >= 0) askings[i] = (struct asking){++last_asking ? last_asking : ++last_asking, (int)fd, 0};
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
    if (write_some((int)fd, word, length(word)) < 0 || read_some((int)fd, &status, 1) != 1) leave(1);
    leave(status);
}

// ---- what is received

static void greet(u32 number) {
    u8 *at = outgoing + HEAD + 4;
    u8 names[6 * 65];
    greeted = 1;
    for (int i = 0; i < CALLS; i++) calls[i].number = 0;
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
        for (int i = 0; i < CALLS; i++)
            files[count++] = (struct poll){calls[i].pid ? calls[i].output : -1, POLLIN, 0};
        for (int i = 0; i < ASKING; i++)
            files[count++] = (struct poll){askings[i].number ? askings[i].fd : -1, POLLIN, 0};
        wait_for(files, count, -1);
        if (files[1].found || files[2].found) send_news();
        for (int i = 0; i < CALLS; i++)
            if (calls[i].pid && files[4 + i].found) continue_call(i);
        for (int i = 0; i < ASKING; i++)
            if (askings[i].number && files[4 + CALLS + i].found) hear_asking(askings + i);
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

static void open_streams(void) {
    // A netlink socket's address: the kernel's own group.
    u32 to[3] = {0, 0, 1}, room = 1 << 20;
    *(unsigned short *)to = AF_NETLINK;
    log_fd = (int)open_file("/dev/kmsg", O_RDONLY | O_NONBLOCK);
    events = (int)CALL(SOCKET, AF_NETLINK, SOCK_DGRAM | O_CLOEXEC | O_NONBLOCK, 15, 0, 0);
    CALL(SETSOCKOPT, events, 1, 8, &room, sizeof(room));
    if (events >= 0 && CALL(BIND, events, to, sizeof(to), 0, 0) < 0) close_file(events), events = -1;
    outcomes = (int)CALL(MEMFD_CREATE, "outcomes", 1, 0, 0, 0);
    asked = (int)open_asked(asked_at);
}

void run(long *start) {
    long count = start[0];
    char **words = (char **)(start + 1);
    is_init = CALL(GETPID, 0, 0, 0, 0, 0) == 1;
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
