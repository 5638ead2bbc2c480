// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 4: a directory in /proc: a file that does everything itself, one that is shown in one go,
 * and one whose lines an iterator gives.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/minmax.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#define DIRECTORY "lesson"

static char word[16] = "nothing";
static const char *const days[] = { "monday", "tuesday", "wednesday", "thursday", "friday" };

static ssize_t word_read(struct file *file, char __user *to, size_t size, loff_t *at)
{
	return simple_read_from_buffer(to, size, at, word, strlen(word));
}

static ssize_t word_write(struct file *file, const char __user *from, size_t size, loff_t *at)
{
	size_t some = min(size, sizeof(word) - 1);

	if (copy_from_user(word, from, some))
		return -EFAULT;
	word[some] = '\0';
	pr_info("the word has %zu bytes\n", some);
	return some;
}

static const struct proc_ops word_ops = {
	.proc_read = word_read,
	.proc_write = word_write,
	.proc_lseek = default_llseek,
};

static int single_show(struct seq_file *file, void *data)
{
	seq_printf(file, "%s has %d letters\n", word, (int)strlen(word));
	seq_puts(file, "and ends ");
	seq_putc(file, 'h');
	seq_write(file, "ere\n", 4);
	return 0;
}

static void *days_start(struct seq_file *file, loff_t *at)
{
	pr_info("days from %lld on\n", *at);
	return *at < ARRAY_SIZE(days) ? (void *)&days[*at] : NULL;
}

static void *days_next(struct seq_file *file, void *day, loff_t *at)
{
	++*at;
	return *at < ARRAY_SIZE(days) ? (void *)&days[*at] : NULL;
}

static void days_stop(struct seq_file *file, void *day)
{
	pr_info("days end %s\n", day ? "in between" : "at the end");
}

static int days_show(struct seq_file *file, void *day)
{
	seq_printf(file, "%-10s|%3u\n", *(const char *const *)day,
		   (unsigned int)((const char *const *)day - days));
	return 0;
}

static const struct seq_operations days_ops = {
	.start = days_start,
	.next = days_next,
	.stop = days_stop,
	.show = days_show,
};

static int __init proc_lesson_init(void)
{
	struct proc_dir_entry *directory = proc_mkdir(DIRECTORY, NULL);

	if (!directory)
		return -ENOMEM;
	if (!proc_create("word", 0644, directory, &word_ops) ||
	    !proc_create_single("single", 0444, directory, single_show) ||
	    !proc_create_seq("days", 0444, directory, &days_ops)) {
		proc_remove(directory);
		return -ENOMEM;
	}
	pr_info("/proc/%s is there\n", DIRECTORY);
	return 0;
}

static void __exit proc_lesson_exit(void)
{
	remove_proc_subtree(DIRECTORY, NULL);
	pr_info("/proc/%s is gone\n", DIRECTORY);
}

module_init(proc_lesson_init);
module_exit(proc_lesson_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 4: files in /proc");
