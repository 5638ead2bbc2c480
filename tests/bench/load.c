// SPDX-License-Identifier: Apache-2.0
// Clients that make the same unary gRPC call again and again, in one thread without a library, so
// that what is measured is the server. HTTP/2 as RFC 9113 has it, header fields as RFC 7541.
//
//   load SOCKET CLIENTS CALLS METHOD < REQUEST
//
// makes CALLS calls in all, each client one at a time, and prints "SECONDS P50 P99", the latter two
// in seconds. Fails where a call brings no answer.

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DATA, HEADERS, RST_STREAM = 3, SETTINGS, PING = 6, GOAWAY, WINDOW_UPDATE };
enum { ACK = 1, END_STREAM = 1, END_HEADERS = 4, HEADER = 9, MOST = 4096, WINDOW = 0x7fffffff };

struct client {
    int fd;
    uint32_t stream;
    int answered;        // whether the call has brought a message
    size_t owed;         // bytes of messages that the window was not opened for again
    double began;
    size_t have;         // bytes in `in`
    uint8_t in[256 << 10];
};

static struct client *clients;
static uint8_t request[MOST], first[MOST], later[MOST];
static size_t request_size, first_size, later_size;
static double *spent;
static long wanted, begun, ended;

static void fail(const char *format, ...) {
    va_list words;
    va_start(words, format);
    vfprintf(stderr, format, words);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec + at.tv_nsec / 1e9;
}

static void put32(uint8_t *at, uint32_t value) {
    for (int i = 0; i < 4; i++) at[i] = value >> (24 - 8 * i);
}

static uint8_t *frame(uint8_t *at, size_t size, int kind, int flags, uint32_t stream) {
    put32(at, (uint32_t)size << 8);
    at[3] = kind;
    at[4] = flags;
    put32(at + 5, stream);
    return at + HEADER;
}

// A header field that goes into the table (RFC 7541, 6.2.1), its name given by a number.
static uint8_t *field(uint8_t *at, int name, const char *value) {
    size_t size = strlen(value);
    if (size >= 127) fail("%s is too long", value);
    *at++ = 0x40 | name;
    *at++ = size;
    memcpy(at, value, size);
    return at + size;
}

// What the first call of a connection sends as its header, and what each later one does.
static void make_headers(const char *method) {
    uint8_t *at = first;
    *at++ = 0x83;  // :method: POST
    *at++ = 0x86;  // :scheme: http
    at = field(at, 4, method);
    at = field(at, 1, "localhost");
    at = field(at, 31, "application/grpc");
    *at++ = 0x40;
    *at++ = 2;
    memcpy(at, "te", 2);
    at += 2;
    *at++ = 8;
    memcpy(at, "trailers", 8);
    first_size = at + 8 - first;
    memcpy(later, "\x83\x86\xc1\xc0\xbf\xbe", later_size = 6);
}

static void send_all(int fd, const uint8_t *data, size_t size) {
    while (size) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        if (sent < 0) fail("send: %s", strerror(errno));
        data += sent;
        size -= sent;
    }
}

static void open_window(struct client *client, uint32_t size) {
    uint8_t out[HEADER + 4];
    put32(frame(out, 4, WINDOW_UPDATE, 0, 0), size);
    send_all(client->fd, out, sizeof out);
}

static void begin(struct client *client) {
    uint8_t out[3 * MOST], *at;
    int is_first = client->stream == 1;
    size_t size = is_first ? first_size : later_size;
    at = frame(out, size, HEADERS, END_HEADERS, client->stream);
    memcpy(at, is_first ? first : later, size);
    at = frame(at + size, request_size + 5, DATA, END_STREAM, client->stream);
    *at = 0;
    put32(at + 1, request_size);
    memcpy(at + 5, request, request_size);
    client->answered = 0;
    client->began = now();
    begun++;
    send_all(client->fd, out, at + 5 + request_size - out);
}

static void start(struct client *client, const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    uint8_t out[HEADER + 6] = {0};
    if (strlen(path) >= sizeof address.sun_path) fail("%s is too long", path);
    strcpy(address.sun_path, path);
    client->fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (connect(client->fd, (void *)&address, sizeof address)) fail("connect: %s", strerror(errno));
    send_all(client->fd, (const uint8_t *)"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
    frame(out, 6, SETTINGS, 0, 0)[1] = 4;  // SETTINGS_INITIAL_WINDOW_SIZE
    put32(out + HEADER + 2, WINDOW);
    send_all(client->fd, out, sizeof out);
    open_window(client, WINDOW - 65535);
    client->stream = 1;
}

static void end(struct client *client) {
    if (!client->answered) fail("a call was answered by no message");
    spent[ended++] = now() - client->began;
    client->stream += 2;
    if (begun < wanted) begin(client);
}

static void take(struct client *client, const uint8_t *at, size_t size) {
    int kind = at[3], flags = at[4];
    uint8_t out[HEADER + 8];
    if (kind == DATA) {
        client->answered = 1;
        client->owed += size;
        if (client->owed > WINDOW / 2) {
            open_window(client, client->owed);
            client->owed = 0;
        }
    } else if (kind == SETTINGS && !(flags & ACK)) {
        frame(out, 0, SETTINGS, ACK, 0);
        send_all(client->fd, out, HEADER);
    } else if (kind == PING && !(flags & ACK)) {
        memcpy(frame(out, 8, PING, ACK, 0), at + HEADER, 8);
        send_all(client->fd, out, sizeof out);
    } else if (kind == RST_STREAM || kind == GOAWAY) {
        fail("the server ends it: frame %d", kind);
    }
    if (kind == HEADERS && flags & END_STREAM) end(client);
}

static void receive(struct client *client) {
    ssize_t count = recv(client->fd, client->in + client->have, sizeof client->in - client->have, 0);
    size_t at = 0;
    if (count <= 0) fail("the server has gone");
    client->have += count;
    while (client->have - at >= HEADER) {
        const uint8_t *head = client->in + at;
        size_t size = head[0] << 16 | head[1] << 8 | head[2];
        if (HEADER + size > sizeof client->in) fail("a frame of %zu bytes", size);
        if (client->have - at < HEADER + size) break;
        take(client, head, size);
        at += HEADER + size;
    }
    memmove(client->in, client->in + at, client->have -= at);
}

static int by_value(const void *one, const void *other) {
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

int main(int count, char **words) {
    struct epoll_event ready[64];
    int poll = epoll_create1(0), number;
    if (count != 5) fail("usage: load SOCKET CLIENTS CALLS METHOD < REQUEST");
    number = atoi(words[2]);
    wanted = atol(words[3]);
    if (number < 1 || wanted < number) fail("a call for each client at least");
    request_size = fread(request, 1, sizeof request, stdin);
    make_headers(words[4]);
    clients = calloc(number, sizeof *clients);
    spent = calloc(wanted, sizeof *spent);
    for (int i = 0; i < number; i++) {
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
        start(&clients[i], words[1]);
        epoll_ctl(poll, EPOLL_CTL_ADD, clients[i].fd, &event);
    }
    double began = now();
    for (int i = 0; i < number; i++) begin(&clients[i]);
    while (ended < wanted) {
        int found = epoll_wait(poll, ready, 64, 60000);
        if (!found) fail("nothing has come for a minute");
        for (int i = 0; i < found; i++) receive(ready[i].data.ptr);
    }
    double seconds = now() - began;
    qsort(spent, wanted, sizeof *spent, by_value);
    printf("%.6f %.6f %.6f\n", seconds, spent[wanted / 2], spent[wanted * 99 / 100]);
    return 0;
}
