// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* Lesson 9: what goes on beside the module's own code (work, a timer, a tasklet, threads), and what
 * keeps it in order: completions, a wait queue, locks of each kind, atomic numbers, RCU. Each waits
 * for the one before it, so that the order is the same everywhere.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/err.h>
#include <linux/init.h>
#include <linux/interrupt.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rculist.h>
#include <linux/rwlock.h>
#include <linux/rwsem.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define timer_delete_sync del_timer_sync
#endif

struct fact {
	struct list_head link;
	struct rcu_head rcu;
	int value;
};

static LIST_HEAD(facts);
static DEFINE_SPINLOCK(facts_lock);
static DEFINE_MUTEX(mutex);
static DEFINE_RWLOCK(rwlock);
static DECLARE_RWSEM(rwsem);
static DECLARE_COMPLETION(ticked);
static DECLARE_COMPLETION(tasklet_ran);
static DECLARE_COMPLETION(baton);
static DECLARE_WAIT_QUEUE_HEAD(queue);
static atomic_t counter = ATOMIC_INIT(0);
static atomic64_t large = ATOMIC64_INIT(1LL << 40);
static atomic_t freed = ATOMIC_INIT(0);
static struct workqueue_struct *workers;
static struct task_struct *runners[2];
static unsigned long bits;
static int ticks;
static bool may_run;

static void work_runs(struct work_struct *work)
{
	pr_info("work %d runs\n", atomic_inc_return(&counter));
}
static DECLARE_WORK(first_work, work_runs);
static DECLARE_DELAYED_WORK(late_work, work_runs);

static void timer_fires(struct timer_list *timer)
{
	if (++ticks < 3)
		mod_timer(timer, jiffies + 1);
	else
		complete(&ticked);
}
static DEFINE_TIMER(timer, timer_fires);

static void tasklet_runs(struct tasklet_struct *tasklet)
{
	pr_info("tasklet in a softirq: %s\n", in_serving_softirq() ? "yes" : "no");
	complete(&tasklet_ran);
}
static DECLARE_TASKLET(tasklet, tasklet_runs);

static int run(void *data)
{
	long number = (long)data;

	wait_event(queue, READ_ONCE(may_run) || kthread_should_stop());
	if (number)
		wait_for_completion(&baton);
	pr_info("%s runs, as number %d\n", current->comm, atomic_add_return(10, &counter));
	if (!number)
		complete(&baton);
	while (!kthread_should_stop())
		schedule_timeout_interruptible(1);
	return 100 + number;
}

static void fact_freed(struct rcu_head *head)
{
	kfree(container_of(head, struct fact, rcu));
	atomic_inc(&freed);
}

static int add_fact(int value)
{
	struct fact *fact = kzalloc(sizeof(*fact), GFP_KERNEL);

	if (!fact)
		return -ENOMEM;
	fact->value = value;
	spin_lock(&facts_lock);
	list_add_tail_rcu(&fact->link, &facts);
	spin_unlock(&facts_lock);
	return 0;
}

static int sum_of_facts(void)
{
	struct fact *fact;
	int sum = 0;

	rcu_read_lock();
	list_for_each_entry_rcu(fact, &facts, link)
		sum += fact->value;
	rcu_read_unlock();
	return sum;
}

static void forget_facts(void)
{
	struct fact *fact, *next;

	spin_lock(&facts_lock);
	list_for_each_entry_safe(fact, next, &facts, link) {
		list_del_rcu(&fact->link);
		call_rcu(&fact->rcu, fact_freed);
	}
	spin_unlock(&facts_lock);
	rcu_barrier();
	pr_info("%d facts are freed\n", atomic_read(&freed));
}

static void try_mutex(void)
{
	int locked, again;

	mutex_lock(&mutex);
	locked = mutex_is_locked(&mutex);
	again = mutex_trylock(&mutex);
	pr_info("mutex: locked %d, again %d\n", locked, again);
	mutex_unlock(&mutex);
	locked = mutex_is_locked(&mutex);
	again = mutex_trylock(&mutex);
	pr_info("mutex: locked %d, by trying %d\n", locked, again);
	mutex_unlock(&mutex);
}

static void try_spin_lock(void)
{
	unsigned long flags;

	spin_lock_irqsave(&facts_lock, flags);
	pr_info("spin lock: locked %d, interrupts off %d\n", spin_is_locked(&facts_lock),
		irqs_disabled());
	spin_unlock_irqrestore(&facts_lock, flags);
	pr_info("spin lock: locked %d, interrupts off %d\n", spin_is_locked(&facts_lock),
		irqs_disabled());
}

static void try_readers_and_writers(void)
{
	int reader, writer;

	read_lock(&rwlock);
	reader = read_trylock(&rwlock);
	writer = write_trylock(&rwlock);
	pr_info("rwlock: another reader %d, a writer %d\n", reader, writer);
	read_unlock(&rwlock);
	read_unlock(&rwlock);
	write_lock(&rwlock);
	pr_info("rwlock: a reader beside the writer %d\n", read_trylock(&rwlock));
	write_unlock(&rwlock);
	down_read(&rwsem);
	reader = down_read_trylock(&rwsem);
	writer = down_write_trylock(&rwsem);
	pr_info("semaphore: another reader %d, a writer %d\n", reader, writer);
	up_read(&rwsem);
	up_read(&rwsem);
	pr_info("semaphore: a writer %d\n", down_write_trylock(&rwsem));
	downgrade_write(&rwsem);
	up_read(&rwsem);
}

static void try_atomics(void)
{
	int before = atomic_cmpxchg(&counter, 0, 7), added = atomic_fetch_add(5, &counter);
	int set, set_too;

	pr_info("atomic: %d, %d, %d\n", before, added, atomic_read(&counter));
	pr_info("atomic64: %lld\n", atomic64_sub_return(1, &large));
	set_bit(3, &bits);
	set = test_and_set_bit(3, &bits);
	set_too = test_and_set_bit(5, &bits);
	pr_info("bits: %d, %d, %#lx\n", set, set_too, bits);
	atomic_set(&counter, 0);
}

static int __init scheduling_init(void)
{
	long number;
	int err = -ENOMEM;

	try_mutex();
	try_spin_lock();
	try_readers_and_writers();
	try_atomics();
	workers = alloc_workqueue("lesson", WQ_UNBOUND, 1);
	if (!workers)
		return -ENOMEM;
	pr_info("queued: %d\n", queue_work(workers, &first_work));
	flush_work(&first_work);
	queue_work(workers, &first_work);
	flush_workqueue(workers);
	queue_delayed_work(workers, &late_work, 1);
	flush_delayed_work(&late_work);
	mod_timer(&timer, jiffies + 1);
	wait_for_completion(&ticked);
	pr_info("%d ticks, armed %d\n", ticks, timer_pending(&timer));
	tasklet_schedule(&tasklet);
	wait_for_completion(&tasklet_ran);
	for (number = 0; number < 2; number++) {
		runners[number] = kthread_run(run, (void *)number, "runner/%ld", number);
		if (IS_ERR(runners[number])) {
			err = PTR_ERR(runners[number]);
			goto failed;
		}
	}
	for (number = 1; number <= 3; number++)
		if (add_fact(number))
			goto failed;
	pr_info("the facts are %d\n", sum_of_facts());
	may_run = true;
	wake_up_all(&queue);
	return 0;
failed:
	forget_facts();
	while (number--)
		if (number < 2)
			kthread_stop(runners[number]);
	destroy_workqueue(workers);
	return err;
}

static void __exit scheduling_exit(void)
{
	pr_info("the runners return %d", kthread_stop(runners[0]));
	pr_cont(" and %d\n", kthread_stop(runners[1]));
	timer_delete_sync(&timer);
	tasklet_kill(&tasklet);
	cancel_delayed_work_sync(&late_work);
	destroy_workqueue(workers);
	forget_facts();
	pr_info("counted to %d\n", atomic_read(&counter));
}

module_init(scheduling_init);
module_exit(scheduling_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Lesson 9: work, timers, tasklets, threads, and their locks");
