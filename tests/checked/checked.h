/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the modules here have in common; each is right, or wrong in the way that its name says. */
#ifndef CHECKED_H
#define CHECKED_H

#include <linux/cdev.h>
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/idr.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/kobject.h>
#include <linux/kthread.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/notifier.h>
#include <linux/pci.h>
#include <linux/percpu.h>
#include <linux/platform_device.h>
#include <linux/proc_fs.h>
#include <linux/reboot.h>
#include <linux/slab.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 4, 0)
#define new_class(name) class_create(name)
#else
#define new_class(name) class_create(THIS_MODULE, name)
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define REMOVED void
#define RETURN_REMOVED
#else
#define REMOVED int
#define RETURN_REMOVED return 0
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 15, 0)
#define end_timer(timer) timer_delete_sync(timer)
#else
#define end_timer(timer) del_timer_sync(timer)
#endif

#define CHECKED_IRQ	9

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A module to be checked");

#endif
