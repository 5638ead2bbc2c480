// SPDX-License-Identifier: Apache-2.0
/*
 * The only process of a recording: makes the system calls of a session and prints what came of them.
 *
 * /calls holds a directory for each call, 0, 1, ...: "image" with "parameters" and "flags" for
 * finit_module(2), or "name" and "flags" for delete_module(2). The answer to each is printed as
 * "@call NUMBER ERRNO", then "@log PRIORITY TEXT" for each new line of the kernel's log, then
 * "@module LINE" for each line of /proc/modules, and "@sysfs FILE CONTENT" for what is in the
 * directory of each of these in /sys/module.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static char *read_file(int number, const char *name)
{
	static char text[1 << 16];
	char path[64];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/calls/%d/%s", number, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return NULL;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[size < 0 ? 0 : size] = '\0';
	return strdup(text);
}

static int make_call(int number)
{
	char *name = read_file(number, "name"), *flags = read_file(number, "flags");
	char path[64];
	int fd, failed;

	if (name)
		return syscall(SYS_delete_module, name, atoi(flags) | O_NONBLOCK) ? errno : 0;
	snprintf(path, sizeof(path), "/calls/%d/image", number);
	fd = open(path, O_RDONLY);
	failed = syscall(SYS_finit_module, fd, read_file(number, "parameters"), atoi(flags));
	failed = failed ? errno : 0;
	close(fd);
	return failed;
}

static void print_log(int log)
{
	char record[8192];
	ssize_t size;

	while ((size = read(log, record, sizeof(record) - 1)) > 0) {
		char *text;

		record[size] = '\0';
		text = strchr(record, ';');
		if (!text)
			continue;
		*strchrnul(text, '\n') = '\0';
		printf("@log %d %s\n", atoi(record) & 7, text + 1);
	}
}

static void print_file(const char *module, const char *name)
{
	char path[512], content[4096];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/sys/module/%s/%s", module, name);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	size = read(fd, content, sizeof(content) - 1);
	close(fd);
	if (size <= 0)
		return;
	content[size] = '\0';
	*strchrnul(content, '\n') = '\0';
	printf("@sysfs %s/%s %s\n", module, name, content);
}

static void print_directory(const char *module)
{
	static const char *const files[] = { "coresize", "initsize", "initstate", "refcnt",
					     "srcversion", "taint", "version" };
	struct dirent **entries;
	char path[512];
	int count, i;

	for (i = 0; i < (int)(sizeof(files) / sizeof(files[0])); i++)
		print_file(module, files[i]);
	snprintf(path, sizeof(path), "/sys/module/%s/parameters", module);
	count = scandir(path, &entries, NULL, alphasort);
	for (i = 0; i < count; i++) {
		snprintf(path, sizeof(path), "parameters/%s", entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			print_file(module, path);
	}
}

static void print_modules(void)
{
	char line[4096];
	FILE *modules = fopen("/proc/modules", "r");

	while (modules && fgets(line, sizeof(line), modules)) {
		printf("@module %s", line);
		print_directory(strtok(line, " "));
	}
	if (modules)
		fclose(modules);
}

int main(void)
{
	int log, number;
	char path[64];
	struct stat found;

	mkdir("/proc", 0755);
	mkdir("/dev", 0755);
	mkdir("/sys", 0755);
	mount("proc", "/proc", "proc", 0, "");
	mount("sysfs", "/sys", "sysfs", 0, "");
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	/* What the kernel still has to say of its own is not of interest. */
	sleep(3);
	printf("\n");
	log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	lseek(log, 0, SEEK_END);
	for (number = 0;; number++) {
		int result;

		snprintf(path, sizeof(path), "/calls/%d", number);
		if (stat(path, &found))
			break;
		result = make_call(number);
		/* A failed load is cleaned up behind its back. */
		usleep(20000);
		printf("@call %d %d\n", number, result);
		print_log(log);
		print_modules();
	}
	printf("@end\n");
	fflush(stdout);
	usleep(200000);
	reboot(RB_POWER_OFF);
	return 0;
}
