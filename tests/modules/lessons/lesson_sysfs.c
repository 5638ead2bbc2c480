// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 5: an object in /sys/kernel with attributes, a group of them, and bytes as they are. */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/kobject.h>
#include <linux/module.h>
#include <linux/string.h>
#include <linux/sysfs.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define FINAL const
#else
#define FINAL
#endif

static int degrees = 20;
static unsigned char raw[12] = "raw bytes\n";
static struct kobject *room;

static ssize_t degrees_show(struct kobject *kobj, struct kobj_attribute *attr, char *buffer)
{
	return sysfs_emit(buffer, "%d\n", degrees);
}

static ssize_t degrees_store(struct kobject *kobj, struct kobj_attribute *attr,
			     const char *buffer, size_t size)
{
	int wanted, err = kstrtoint(buffer, 10, &wanted);

	if (err)
		return err;
	if (wanted < -40 || wanted > 60)
		return -EINVAL;
	pr_info("%s of %s: %d to %d\n", attr->attr.name, kobject_name(kobj), degrees, wanted);
	degrees = wanted;
	return size;
}
static struct kobj_attribute degrees_attribute = __ATTR_RW(degrees);

static ssize_t warm_show(struct kobject *kobj, struct kobj_attribute *attr, char *buffer)
{
	int at = sysfs_emit_at(buffer, 0, "%s", degrees > 18 ? "yes" : "no");

	return at + sysfs_emit_at(buffer, at, ", as %d\n", degrees);
}
static struct kobj_attribute warm_attribute = __ATTR_RO(warm);

static ssize_t reset_store(struct kobject *kobj, struct kobj_attribute *attr,
			   const char *buffer, size_t size)
{
	if (!sysfs_streq(buffer, "now"))
		return -EINVAL;
	degrees = 20;
	sysfs_notify(kobj, NULL, "degrees");
	return size;
}
static struct kobj_attribute reset_attribute = __ATTR(reset, 0200, NULL, reset_store);

static ssize_t raw_read(struct file *file, struct kobject *kobj, FINAL struct bin_attribute *attr,
			char *buffer, loff_t at, size_t size)
{
	memcpy(buffer, raw + at, size);
	return size;
}

static ssize_t raw_write(struct file *file, struct kobject *kobj, FINAL struct bin_attribute *attr,
			 char *buffer, loff_t at, size_t size)
{
	memcpy(raw + at, buffer, size);
	return size;
}
static BIN_ATTR_RW(raw, sizeof(raw));

static struct attribute *room_attributes[] = {
	&degrees_attribute.attr,
	&warm_attribute.attr,
	&reset_attribute.attr,
	NULL
};
static FINAL struct bin_attribute *FINAL room_bin_attributes[] = { &bin_attr_raw, NULL };
static const struct attribute_group room_group = {
	.attrs = room_attributes,
	.bin_attrs = room_bin_attributes,
};

static int __init room_init(void)
{
	int err;

	room = kobject_create_and_add("room", kernel_kobj);
	if (!room)
		return -ENOMEM;
	err = sysfs_create_group(room, &room_group);
	if (err)
		kobject_put(room);
	else
		pr_info("/sys/kernel/%s is there\n", kobject_name(room));
	return err;
}

static void __exit room_exit(void)
{
	sysfs_remove_group(room, &room_group);
	kobject_put(room);
	pr_info("it was %d degrees\n", degrees);
}

module_init(room_init);
module_exit(room_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 5: attributes in /sys");
