// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Papers that are shown in each file system that has files for them. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/uaccess.h>
#include <linux/version.h>

/* 5.17 gave it a name in small letters. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(5, 17, 0)
#define pde_data PDE_DATA
#endif

#define PAPERS_MAX 2000
#define NOTE_MAX 64

static int papers = 3;
module_param(papers, int, 0644);
MODULE_PARM_DESC(papers, "How many papers there are (3 unless told otherwise)");

static int pages = 10;

static int set_pages(const char *text, const struct kernel_param *parameter)
{
	int wanted, error = kstrtoint(text, 0, &wanted);

	if (error)
		return error;
	if (wanted < 1)
		return -ERANGE;
	pr_info("pages were %d\n", pages);
	*(int *)parameter->arg = wanted;
	return 0;
}

static int get_pages(char *text, const struct kernel_param *parameter)
{
	return sprintf(text, "%d pages\n", *(int *)parameter->arg);
}

static const struct kernel_param_ops pages_operations = {
	.set = set_pages,
	.get = get_pages,
};
module_param_cb(pages, &pages_operations, &pages, 0644);
MODULE_PARM_DESC(pages, "How many pages a paper has, by a way of its own to tell");

/* /proc/archive/papers: an iterator. */
static void *papers_start(struct seq_file *file, loff_t *at)
{
	if (*at == 0)
		return SEQ_START_TOKEN;
	return *at <= min(papers, PAPERS_MAX) ? at : NULL;
}

static void *papers_next(struct seq_file *file, void *one, loff_t *at)
{
	++*at;
	return *at <= min(papers, PAPERS_MAX) ? at : NULL;
}

static void papers_stop(struct seq_file *file, void *one)
{
}

static int papers_show(struct seq_file *file, void *one)
{
	if (one == SEQ_START_TOKEN) {
		seq_puts(file, "nr  paper\n");
		return 0;
	}
	if (*(loff_t *)one == 2)
		return SEQ_SKIP;
	seq_printf(file, "%-3lld paper %lld of %d", *(loff_t *)one, *(loff_t *)one, papers);
	seq_putc(file, '\n');
	return 0;
}

static const struct seq_operations papers_sequence = {
	.start = papers_start,
	.next = papers_next,
	.stop = papers_stop,
	.show = papers_show,
};

static int papers_open(struct inode *inode, struct file *file)
{
	return seq_open(file, &papers_sequence);
}

static const struct proc_ops papers_operations = {
	.proc_open = papers_open,
	.proc_read = seq_read,
	.proc_lseek = seq_lseek,
	.proc_release = seq_release,
};

/* /proc/archive/note: one text, which can be written. */
static char note[NOTE_MAX] = "nothing yet\n";

static int note_show(struct seq_file *file, void *data)
{
	seq_printf(file, "%s: %s", (const char *)file->private, note);
	return 0;
}

static int note_open(struct inode *inode, struct file *file)
{
	return single_open(file, note_show, pde_data(inode));
}

static ssize_t note_write(struct file *file, const char __user *from, size_t count, loff_t *at)
{
	if (count >= NOTE_MAX)
		return -EFBIG;
	if (copy_from_user(note, from, count))
		return -EFAULT;
	note[count] = '\0';
	*at += count;
	return count;
}

static const struct proc_ops note_operations = {
	.proc_open = note_open,
	.proc_read = seq_read,
	.proc_write = note_write,
	.proc_lseek = seq_lseek,
	.proc_release = single_release,
};

/* /proc/archive/plain: no seq_file, a position of one's own. */
static ssize_t plain_read(struct file *file, char __user *to, size_t count, loff_t *at)
{
	static const char text[] = "plain\n";
	size_t size = sizeof(text) - 1;

	if (*at >= size)
		return 0;
	size = min(count, size - (size_t)*at);
	if (copy_to_user(to, text + *at, size))
		return -EFAULT;
	*at += size;
	return size;
}

static const struct proc_ops plain_operations = {
	.proc_read = plain_read,
	.proc_lseek = default_llseek,
};

static int whole_show(struct seq_file *file, void *data)
{
	seq_printf(file, "%d papers\n", papers);
	return 0;
}

/* /sys/kernel/archive: attributes. */
static int shelf = 5;

static ssize_t shelf_show(struct kobject *object, struct kobj_attribute *one, char *text)
{
	return sysfs_emit(text, "%d\n", shelf);
}

static ssize_t shelf_store(struct kobject *object, struct kobj_attribute *one, const char *text,
			   size_t count)
{
	int error = kstrtoint(text, 10, &shelf);

	return error ? error : count;
}

static ssize_t endless_show(struct kobject *object, struct kobj_attribute *one, char *text)
{
	memset(text, 'x', PAGE_SIZE);
	return PAGE_SIZE + 10;
}

static struct kobj_attribute shelf_attribute = __ATTR(shelf, 0644, shelf_show, shelf_store);
static struct kobj_attribute endless_attribute = __ATTR(endless, 0444, endless_show, NULL);
static struct kobj_attribute silent_attribute = __ATTR(silent, 0200, NULL, shelf_store);

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 16, 0)
typedef const struct bin_attribute raw_attribute;
#else
typedef struct bin_attribute raw_attribute;
#endif

static u8 raw[16] = "0123456789abcdef";

static ssize_t raw_read(struct file *file, struct kobject *object, raw_attribute *one,
			char *to, loff_t at, size_t count)
{
	memcpy(to, raw + at, count);
	return count;
}

static ssize_t raw_write(struct file *file, struct kobject *object, raw_attribute *one,
			 char *from, loff_t at, size_t count)
{
	memcpy(raw + at, from, count);
	return count;
}

static BIN_ATTR_RW(raw, sizeof(raw));

static struct kobject *object;

/* /sys/kernel/debug/archive: values. */
static u32 count32 = 32;
static u64 count64 = 0x40;
static bool open_today = true;
static u64 doubled = 21;
static struct debugfs_blob_wrapper blob = { .data = "blobs\n", .size = 6 };

static int doubled_get(void *data, u64 *value)
{
	*value = *(u64 *)data * 2;
	return 0;
}

static int doubled_set(void *data, u64 value)
{
	*(u64 *)data = value;
	return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE(doubled_operations, doubled_get, doubled_set, "%llu\n");

static int papers_debug_show(struct seq_file *file, void *data)
{
	seq_printf(file, "shown to %s\n", (char *)file->private);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(papers_debug);

static struct dentry *debugging;

static int __init archive_init(void)
{
	struct proc_dir_entry *directory = proc_mkdir("archive", NULL);
	int error = -ENOMEM;

	if (!directory)
		return error;
	if (!proc_create("papers", 0444, directory, &papers_operations) ||
	    !proc_create_data("note", 0644, directory, &note_operations, "note") ||
	    !proc_create("plain", 0, directory, &plain_operations) ||
	    !proc_create_single("whole", 0444, directory, whole_show) ||
	    !proc_create_seq("listed", 0444, directory, &papers_sequence))
		goto remove;
	object = kobject_create_and_add("archive", kernel_kobj);
	if (!object)
		goto remove;
	error = sysfs_create_file(object, &shelf_attribute.attr) ?:
		sysfs_create_file(object, &endless_attribute.attr) ?:
		sysfs_create_file(object, &silent_attribute.attr) ?:
		sysfs_create_bin_file(object, &bin_attr_raw);
	if (error) {
		kobject_put(object);
		goto remove;
	}
	debugging = debugfs_create_dir("archive", NULL);
	debugfs_create_u32("count32", 0644, debugging, &count32);
	debugfs_create_x64("count64", 0644, debugging, &count64);
	debugfs_create_bool("open_today", 0644, debugging, &open_today);
	debugfs_create_blob("blob", 0444, debugging, &blob);
	debugfs_create_file("doubled", 0644, debugging, &doubled, &doubled_operations);
	debugfs_create_file("papers", 0444, debugging, "debuggers", &papers_debug_fops);
	return 0;
remove:
	remove_proc_subtree("archive", NULL);
	return error;
}

static void __exit archive_exit(void)
{
	debugfs_remove(debugging);
	kobject_put(object);
	remove_proc_subtree("archive", NULL);
}

module_init(archive_init);
module_exit(archive_exit);

MODULE_LICENSE("GPL");
MODULE_AUTHOR("The kmodd developers");
MODULE_DESCRIPTION("Papers in /proc, /sys and debugfs, to be read and written");
