// SPDX-License-Identifier: Apache-2.0
// A kernel for kmod's tools to talk to, preloaded into them: the three system calls about modules
// change a directory that lies at /sys/module. What a module needs is read from its .modinfo.
// FAKE_ERRNO ("world=2 greet=17") names modules whose load or removal fails, and how.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MODULES "/sys/module"

static void write_text(const char *module, const char *file, const char *text)
{
	char path[512];
	FILE *out;

	snprintf(path, sizeof(path), MODULES "/%s/%s", module, file);
	out = fopen(path, "w");
	if (out) {
		fputs(text, out);
		fclose(out);
	}
}

static int read_refcnt(const char *module)
{
	char path[512];
	int count = -1;
	FILE *in;

	snprintf(path, sizeof(path), MODULES "/%s/refcnt", module);
	in = fopen(path, "r");
	if (in) {
		if (fscanf(in, "%d", &count) != 1)
			count = -1;
		fclose(in);
	}
	return count;
}

// Notes, or forgets, that `user` uses `module`.
static void count_user(const char *module, const char *user, int change)
{
	char path[512], text[32];

	snprintf(path, sizeof(path), MODULES "/%s/holders/%s", module, user);
	if (change > 0 ? mkdir(path, 0755) : rmdir(path))
		return;
	snprintf(text, sizeof(text), "%d\n", read_refcnt(module) + change);
	write_text(module, "refcnt", text);
}

static int wanted_errno(const char *module)
{
	const char *all = getenv("FAKE_ERRNO");
	size_t length = strlen(module);

	for (const char *at = all; at && *at; at = strchr(at, ' '), at = at ? at + 1 : at)
		if (!strncmp(at, module, length) && at[length] == '=')
			return atoi(at + length + 1);
	return 0;
}

static int fail(int code)
{
	errno = code;
	return -1;
}

// Returns the value of `key` ("\0name=") in a module's image, "" where there is none.
static const char *modinfo(const char *image, size_t size, const char *key, size_t length)
{
	const char *found = memmem(image, size, key, length);

	return found ? found + length : "";
}

static int load(const char *image, size_t size)
{
	const char *name = modinfo(image, size, "\0name=", 6);
	char path[512], needs[512], *rest = needs;
	int code = wanted_errno(name);

	if (!*name)
		return fail(ENOEXEC);
	if (code)
		return fail(code);
	snprintf(path, sizeof(path), MODULES "/%s", name);
	if (mkdir(path, 0755))
		return fail(EEXIST);
	snprintf(path, sizeof(path), MODULES "/%s/holders", name);
	mkdir(path, 0755);
	write_text(name, "initstate", "live\n");
	write_text(name, "refcnt", "0\n");
	snprintf(needs, sizeof(needs), "%s", modinfo(image, size, "\0depends=", 9));
	for (char *need; (need = strsep(&rest, ",")) != NULL;)
		if (*need)
			count_user(need, name, 1);
	return 0;
}

int init_module(void *image, unsigned long size, const char *arguments)
{
	(void)arguments;
	return load(image, size);
}

static long load_file(int fd)
{
	struct stat status;
	char *image;
	long result;

	if (fstat(fd, &status) || !(image = malloc(status.st_size + 1)))
		return -1;
	result = pread(fd, image, status.st_size, 0) == status.st_size
			 ? load(image, status.st_size) : fail(EIO);
	free(image);
	return result;
}

int delete_module(const char *name, unsigned int flags)
{
	char command[1024];
	int code = wanted_errno(name);

	(void)flags;
	if (read_refcnt(name) < 0)
		return fail(ENOENT);
	if (code)
		return fail(code);
	if (read_refcnt(name) > 0)
		return fail(EAGAIN);
	snprintf(command, sizeof(command),
		 "for user in " MODULES "/*/holders/%s; do [ -d $user ] || continue; rmdir $user; "
		 "count=${user%%/holders/*}/refcnt; echo $(($(cat $count) - 1)) > $count; done; "
		 "rm -r " MODULES "/%s", name, name);
	unsetenv("LD_PRELOAD");
	return system(command) ? fail(EIO) : 0;
}

long syscall(long number, ...)
{
	long (*real)(long, ...) = dlsym(RTLD_NEXT, "syscall");
	long a[6];
	va_list arguments;

	va_start(arguments, number);
	for (int i = 0; i < 6; i++)
		a[i] = va_arg(arguments, long);
	va_end(arguments);
	if (number == SYS_finit_module)
		return load_file((int)a[0]);
	return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
