// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 8: printing to the terminal of whoever loads the module; where there is none, the log has
 * it. And what printk makes of numbers, bytes and names.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/err.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/sched.h>
#include <linux/tty.h>
#include <linux/types.h>

static void say(const char *text)
{
	struct tty_struct *terminal = get_current_tty();

	if (!terminal) {
		pr_info("no terminal: %s\n", text);
		return;
	}
	tty_kref_put(terminal);
	pr_info("on a terminal: %s\n", text);
}

static int __init print_init(void)
{
	static const u8 mac[] = { 0x02, 0, 0, 0xAB, 0xCD, 0xEF };
	static const u8 address[] = { 192, 0, 2, 17 };
	unsigned char bytes[20];
	unsigned int number;

	for (number = 0; number < sizeof(bytes); number++)
		bytes[number] = 'A' + number;
	say("hello from the kernel");
	pr_info("%d %5d %-5d| %05d %+d %x %#X %o\n", 42, 42, 42, 42, 42, 42, 42, 42);
	pr_info("%c%c %s %.3s %10s|%-10s|\n", 'o', 'k', "text", "shortened", "right", "left");
	pr_info("%pM %pI4 %*ph %5pE\n", mac, address, 4, bytes, "a\tb\n\x01");
	pr_info("%ps %pe %pe\n", printk_timed_ratelimit, ERR_PTR(-ENOENT), ERR_PTR(-EPROBE_DEFER));
	print_hex_dump(KERN_INFO, KBUILD_MODNAME ": ", DUMP_PREFIX_OFFSET, 16, 1, bytes,
		       sizeof(bytes), true);
	pr_info("one line, ");
	pr_cont("in two parts\n");
	for (number = 0; number < 3; number++)
		pr_info_once("said once only\n");
	return 0;
}

static void __exit print_exit(void)
{
	say("goodbye");
}

module_init(print_init);
module_exit(print_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 8: printing");
