// SPDX-License-Identifier: Apache-2.0
// The system calls that the agent makes, and how a program begins, on each architecture: their
// numbers (asm/unistd.h) and how they are made (syscall(2)). system_call() gives what the kernel
// gives, which is an errno below zero where it fails.

typedef unsigned char u8;
typedef unsigned int u32;
typedef unsigned long size_t;
typedef long ssize_t;

#if defined(__x86_64__)
enum {
    READ = 0, WRITE = 1, CLOSE = 3, LSEEK = 8, BRK = 12, SIGACTION = 13, PREAD = 17, GETPID = 39,
    SOCKET = 41, CONNECT = 42, BIND = 49, LISTEN = 50, SETSOCKOPT = 54, CLONE = 56, WAIT4 = 61,
    UNAME = 63, MOUNT = 165, INIT_MODULE = 175, DELETE_MODULE = 176, GETDENTS = 217,
    EXIT_GROUP = 231, OPENAT = 257, MKDIRAT = 258, READLINKAT = 267, PPOLL = 271, ACCEPT4 = 288,
    PIPE2 = 293, FINIT_MODULE = 313, MEMFD_CREATE = 319, STATX = 332,
};
enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };

__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall run\n");

static long system_call(long number, long a, long b, long c, long d, long e) {
    register long r10 __asm__("r10") = d, r8 __asm__("r8") = e;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

#elif defined(__aarch64__) || defined(__riscv)
enum {
    MKDIRAT = 34, MOUNT = 40, OPENAT = 56, CLOSE = 57, PIPE2 = 59, GETDENTS = 61, LSEEK = 62,
    READ = 63, WRITE = 64, PREAD = 67, PPOLL = 73, READLINKAT = 78, EXIT_GROUP = 94,
    INIT_MODULE = 105, DELETE_MODULE = 106, SIGACTION = 134, UNAME = 160, GETPID = 172,
    SOCKET = 198, BIND = 200, LISTEN = 201, CONNECT = 203, SETSOCKOPT = 208, BRK = 214, CLONE = 220,
    ACCEPT4 = 242,
    WAIT4 = 260, FINIT_MODULE = 273, MEMFD_CREATE = 279, STATX = 291,
};

#if defined(__aarch64__)
enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };

__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl run\n");

static long system_call(long number, long a, long b, long c, long d, long e) {
    register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
                     : "memory");
    return x0;
}
#else
enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };

__asm__(".globl _start\n_start:\n\tmv a0, sp\n\tandi sp, sp, -16\n\tcall run\n");

static long system_call(long number, long a, long b, long c, long d, long e) {
    register long a7 __asm__("a7") = number, a0 __asm__("a0") = a, a1 __asm__("a1") = b;
    register long a2 __asm__("a2") = c, a3 __asm__("a3") = d, a4 __asm__("a4") = e;
    __asm__ volatile("ecall"
                     : "+r"(a0)
                     : "r"(a7), "r"(a1), "r"(a2), "r"(a3), "r"(a4)
                     : "memory");
    return a0;
}
#endif

#elif defined(__s390x__)
enum {
    READ = 3, WRITE = 4, CLOSE = 6, LSEEK = 19, GETPID = 20, MOUNT = 21, BRK = 45, WAIT4 = 114,
    CLONE = 120, UNAME = 122, INIT_MODULE = 128, DELETE_MODULE = 129, SIGACTION = 174, PREAD = 180,
    GETDENTS = 220, EXIT_GROUP = 248, OPENAT = 288, MKDIRAT = 289, READLINKAT = 298, PPOLL = 302,
    PIPE2 = 325, FINIT_MODULE = 344, MEMFD_CREATE = 350, SOCKET = 359, BIND = 361, CONNECT = 362,
    LISTEN = 363, ACCEPT4 = 364, SETSOCKOPT = 366, STATX = 379,
};
enum { O_DIRECTORY = 0200000, O_NOFOLLOW = 0400000 };

__asm__(".globl _start\n_start:\n\tlgr %r2, %r15\n\taghi %r15, -160\n\tbrasl %r14, run\n");

static long system_call(long number, long a, long b, long c, long d, long e) {
    register long r1 __asm__("1") = number, r2 __asm__("2") = a, r3 __asm__("3") = b;
    register long r4 __asm__("4") = c, r5 __asm__("5") = d, r6 __asm__("6") = e;
    __asm__ volatile("svc 0"
                     : "+d"(r2)
                     : "d"(r1), "d"(r3), "d"(r4), "d"(r5), "d"(r6)
                     : "memory", "cc");
    return r2;
}

#elif defined(__powerpc64__)
enum {
    READ = 3, WRITE = 4, CLOSE = 6, LSEEK = 19, GETPID = 20, MOUNT = 21, BRK = 45, WAIT4 = 114,
    CLONE = 120, UNAME = 122, INIT_MODULE = 128, DELETE_MODULE = 129, SIGACTION = 173, PREAD = 179,
    GETDENTS = 202, EXIT_GROUP = 234, PPOLL = 281, OPENAT = 286, MKDIRAT = 287, READLINKAT = 296,
    PIPE2 = 317, SOCKET = 326, BIND = 327, CONNECT = 328, LISTEN = 329, SETSOCKOPT = 339,
    ACCEPT4 = 344, FINIT_MODULE = 353, MEMFD_CREATE = 360, STATX = 383,
};
enum { O_DIRECTORY = 040000, O_NOFOLLOW = 0100000 };

__asm__(".globl _start\n_start:\n"
        "\taddis 2, 12, .TOC.-_start@ha\n\taddi 2, 2, .TOC.-_start@l\n"
        "\tmr 3, 1\n\tclrrdi 1, 1, 4\n\tli 0, 0\n\tstdu 0, -32(1)\n\tbl run\n\tnop\n");

static long system_call(long number, long a, long b, long c, long d, long e) {
    register long r0 __asm__("r0") = number, r3 __asm__("r3") = a, r4 __asm__("r4") = b;
    register long r5 __asm__("r5") = c, r6 __asm__("r6") = d, r7 __asm__("r7") = e;
    // Summary overflow says that what comes back is an errno.
    __asm__ volatile("sc\n\tbns+ 1f\n\tneg %1, %1\n1:"
                     : "+r"(r0), "+r"(r3), "+r"(r4), "+r"(r5), "+r"(r6), "+r"(r7)
                     :
                     : "r8", "r9", "r10", "r11", "r12", "cr0", "ctr", "memory");
    return r3;
}
#else
#error "an architecture without an agent"
#endif

enum {
    O_RDONLY = 0, O_WRONLY = 1, O_RDWR = 2, O_NONBLOCK = 04000, O_CLOEXEC = 02000000,
    AT_FDCWD = -100, AT_EMPTY_PATH = 0x1000, SEEK_SET = 0, SEEK_END = 2,
};
enum { POLLIN = 1, POLLOUT = 4, POLLERR = 8, POLLHUP = 16 };
enum { ENOENT = 2, EIO = 5, E2BIG = 7, EAGAIN = 11, ENOMEM = 12, EEXIST = 17, EINVAL = 22,
       EPIPE = 32, EUSERS = 87, ENOBUFS = 105, EOWNERDEAD = 130 };
enum { AF_UNIX = 1, AF_NETLINK = 16, SOCK_DGRAM = 2, SOCK_SEQPACKET = 5 };
enum { SIGPIPE = 13, SIGCHLD = 17 };

struct poll {
    int fd;
    short wanted, found;
};

#define CALL(number, a, b, c, d, e) \
    system_call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))

static void close_file(int fd) { CALL(CLOSE, fd, 0, 0, 0, 0); }

static long open_at(int directory, const char *path, int flags) {
    return CALL(OPENAT, directory, path, flags | O_CLOEXEC, 0, 0);
}

static long open_file(const char *path, int flags) { return open_at(AT_FDCWD, path, flags); }

static ssize_t read_some(int fd, void *at, size_t most) { return CALL(READ, fd, at, most, 0, 0); }

static ssize_t write_some(int fd, const void *at, size_t size) {
    return CALL(WRITE, fd, at, size, 0, 0);
}

static void leave(int status) {
    for (;;) CALL(EXIT_GROUP, status, 0, 0, 0, 0);
}

// Waits up to `milliseconds`, or for ever where they are below zero.
static void wait_for(struct poll *files, int count, long milliseconds) {
    long until[2] = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    CALL(PPOLL, files, count, milliseconds < 0 ? 0 : until, 0, 8);
}

// Starts a child with this process's memory as it is; gives 0 in it, and in the parent its number.
static long fork_child(void) {
#if defined(__s390x__)
    return CALL(CLONE, 0, SIGCHLD, 0, 0, 0);
#else
    return CALL(CLONE, SIGCHLD, 0, 0, 0, 0);
#endif
}

// What the compiler makes calls of.
void *memcpy(void *to, const void *from, size_t size) {
    for (size_t i = 0; i < size; i++) ((u8 *)to)[i] = ((const u8 *)from)[i];
    return to;
}

void *memset(void *to, int value, size_t size) {
    for (size_t i = 0; i < size; i++) ((u8 *)to)[i] = (u8)value;
    return to;
}

void *memmove(void *to, const void *from, size_t size) {
    if (to <= from) return memcpy(to, from, size);
    while (size--) ((u8 *)to)[size] = ((const u8 *)from)[size];
    return to;
}
