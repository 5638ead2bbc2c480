// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Puts names of all kinds into /sys, /proc, debugfs and /dev, and takes them away again. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/sysfs.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define create_class(name) class_create(name)
#else
#define create_class(name) class_create(THIS_MODULE, name)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define FINAL const
#else
#define FINAL
#endif

static bool hides = true;
module_param(hides, bool, 0444);
MODULE_PARM_DESC(hides, "whether the hidden attribute is hidden");

static ssize_t colour_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "red\n");
}
static DEVICE_ATTR_RO(colour);

static ssize_t hidden_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "nothing\n");
}
static DEVICE_ATTR_RO(hidden);

static ssize_t late_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "late\n");
}
static DEVICE_ATTR(late, 0400, late_show, NULL);

static ssize_t raw_read(struct file *file, struct kobject *kobj,
			FINAL struct bin_attribute *attr, char *buf, loff_t at, size_t size)
{
	return 0;
}
static BIN_ATTR_RO(raw, 16);

static struct attribute *look_attrs[] = { &dev_attr_colour.attr, &dev_attr_hidden.attr, NULL };
static FINAL struct bin_attribute *FINAL look_bin_attrs[] = { &bin_attr_raw, NULL };

static umode_t look_is_visible(struct kobject *kobj, struct attribute *attr, int number)
{
	return attr == &dev_attr_hidden.attr && hides ? 0 : attr->mode;
}

static const struct attribute_group look_group = {
	.name = "look",
	.attrs = look_attrs,
	.bin_attrs = look_bin_attrs,
	.is_visible = look_is_visible,
};
static const struct attribute_group *shelf_groups[] = { &look_group, NULL };

static ssize_t books_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "3\n");
}
static struct kobj_attribute books = __ATTR(books, 0640, books_show, NULL);

static int shelf_show(struct seq_file *file, void *data)
{
	seq_puts(file, "full\n");
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(shelf);

static struct class *shelves;
static struct device *shelf;
static struct kobject *library;
static struct dentry *debug;

static int __init shelf_init(void)
{
	int err = -ENOMEM;

	shelves = create_class("shelves");
	if (IS_ERR(shelves))
		return PTR_ERR(shelves);
	shelf = device_create_with_groups(shelves, NULL, 0, NULL, shelf_groups, "shelf%d", 1);
	if (IS_ERR(shelf)) {
		err = PTR_ERR(shelf);
		goto no_device;
	}
	err = device_create_file(shelf, &dev_attr_late);
	if (err)
		goto no_file;
	err = -ENOMEM;
	library = kobject_create_and_add("library", kernel_kobj);
	if (!library)
		goto no_file;
	err = sysfs_create_file(library, &books.attr);
	if (err)
		goto no_books;
	err = -ENOMEM;
	if (!proc_mkdir("shelf", NULL) ||
	    !proc_create_single("shelf/state", 0440, NULL, shelf_show))
		goto no_proc;
	debug = debugfs_create_dir("shelf", NULL);
	debugfs_create_file("state", 0600, debug, NULL, &shelf_fops);
	return 0;
no_proc:
	remove_proc_subtree("shelf", NULL);
no_books:
	kobject_put(library);
no_file:
	device_unregister(shelf);
no_device:
	class_destroy(shelves);
	return err;
}

static void __exit shelf_exit(void)
{
	debugfs_remove(debug);
	remove_proc_subtree("shelf", NULL);
	kobject_put(library);
	device_unregister(shelf);
	class_destroy(shelves);
}

module_init(shelf_init);
module_exit(shelf_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Names of all kinds in /sys, /proc and debugfs");
