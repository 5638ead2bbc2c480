// SPDX-License-Identifier: Apache-2.0
// The processes that carry out requests, and the modules that were sent for them.

#include "sending.h"

enum { WORKERS = 128, UPLOADS = 64 };

struct worker {
    int pid, input, output;   // pid is 0 where the place is free
    int is_busy;
    u32 number;               // the request's, 0 where nobody waits for the answer any more
    u32 left;                 // bytes of a part of the answer that are to come
    u32 upload;               // what the request loads, 0 for nothing
};

struct upload {
    u32 number;
    int fd, error;       // an errno below zero once something could not be taken in
};

static struct worker workers[WORKERS];
static struct upload uploads[UPLOADS];

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

// Carries out one request after the other until there is nobody to ask.
static void work(int input, int output) {
    static u8 request[12 + FRAME_MAX + 1];
    for (;;) {
        u8 outcome[12];
        int stage = 0;
        size_t size = 12, got = 0;
        while (got < size) {
            ssize_t more = read_some(input, request + got, size - got);
            if (more <= 0) leave(0);
            got += (size_t)more;
            if (got == 12) size = 12 + get(request);
        }
        request[size] = 0;
        long error = carry_out((int)get(request + 4), request + 12, size - 12, get(request + 8),
                               output, &stage);
        put(outcome, 0);
        put(outcome + 4, (u32)-error);
        put(outcome + 8, (u32)stage);
        tell_all(output, outcome, sizeof(outcome));
    }
}

static void bury(struct worker *worker) {
    close_file(worker->input);
    close_file(worker->output);
    CALL(WAIT4, worker->pid, 0, 0, 0, 0);
    worker->pid = 0;
}

// Starts a worker in a free place; gives an errno below zero where there is none.
static long start_worker(struct worker *worker) {
    int in[2], out[2];
    long error = CALL(PIPE2, in, O_CLOEXEC, 0, 0, 0);
    if (error < 0) return error;
    error = CALL(PIPE2, out, O_CLOEXEC, 0, 0, 0);
    long pid = error < 0 ? error : fork_child();
    if (pid == 0) {
        // The end of a process is seen by the ends of pipes that nobody else has.
        for (int i = 0; i < WORKERS; i++)
            if (workers[i].pid) close_file(workers[i].input), close_file(workers[i].output);
        close_file(in[1]), close_file(out[0]), close_file(port);
        work(in[0], out[1]);
    }
    close_file(in[0]);
    if (error >= 0) close_file(out[1]);
    if (pid > 0) {
        *worker = (struct worker){(int)pid, in[1], out[0], 0, 0, 0, 0};
        return 0;
    }
    close_file(in[1]);
    if (error >= 0) close_file(out[0]);
    return pid;
}

static void begin_call(u32 number, int kind, u8 *body, size_t size) {
    u8 head[12];
    if (!number || !is_whole(kind, body, size)) {
        send_end(number, EINVAL, 0);
        return;
    }
    u32 loaded = kind == INSERT ? get(body) : 0;
    struct upload *upload = loaded ? find_upload(loaded) : 0;
    long error = kind != INSERT ? 0 : upload ? upload->error : -EUSERS;
    put(head, (u32)size);
    put(head + 4, (u32)kind);
    put(head + 8, upload ? (u32)upload->fd : 0);
    struct worker *worker = workers, *end = workers + WORKERS;
    // One that has died while it had nothing to do is followed by another.
    for (int tries = 0; !error && tries <= WORKERS; tries++) {
        for (worker = workers; worker < end && (!worker->pid || worker->is_busy);) worker++;
        if (worker == end) {
            for (worker = workers; worker < end && worker->pid;) worker++;
            error = worker == end ? -EUSERS : start_worker(worker);
        }
        if (!error && tell(worker->input, head, sizeof(head)) && tell(worker->input, body, size)) {
            worker->is_busy = 1, worker->number = number, worker->upload = loaded;
            return;
        }
        if (!error) bury(worker);
    }
    drop_upload(upload);
    send_end(number, error ? -error : EIO, 0);
}

// Passes on what a worker has written, and the end of its request or of itself.
static void hear_worker(struct worker *worker) {
    u8 head[12];
    u32 number = worker->number;
    ssize_t size;
    if (worker->left) {
        size = read_some(worker->output, outgoing + HEAD, worker->left);
        if (size > 0) {
            worker->left -= (u32)size;
            if (number) send_frame(PART, number, (size_t)size);
            return;
        }
    } else {
        size = read_some(worker->output, head, sizeof(head));
        if (size == sizeof(head) && get(head) && get(head) <= PART_MAX) {
            worker->left = get(head);
            return;
        }
    }
    int is_over = size == sizeof(head);
    send_news();
    if (worker->upload) drop_upload(find_upload(worker->upload));
    if (number && is_over) send_end(number, get(head + 4), (int)get(head + 8));
    // One that the kernel has ended has left no word of its request.
    if (number && !is_over) send_end(number, EOWNERDEAD, 0);
    if (!is_over) bury(worker);
    worker->is_busy = 0, worker->number = 0, worker->upload = 0, worker->left = 0;
}
