# SPDX-License-Identifier: Apache-2.0
"""Registrations that nothing but the ledger depends on: one line for what is taken and given back.

What is registered here is never called: no packet comes, no file is opened, no key is pressed.
"""

import errno
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from kmodd.kernel.emulated.abi.function_table import (
    RETURN,
    RETURN_ZERO,
    function,
    machine_code,
    makers,
    pairs,
    reclaims,
)
from kmodd.kernel.emulated.abi.structures import LED, PARALLEL_INSTANCE, TIME_SPEC
from kmodd.kernel.emulated.functions.kobjects import forget_name, start
from kmodd.kernel.emulated.functions.sysfs import remove_directory
from kmodd.kernel.emulated.machine.machine import Machine

_TRIGGER, _PADATA = "LED trigger", "padata"
_UUID, _UUID_LENGTH = re.compile(rb"[\da-fA-F]{8}(-[\da-fA-F]{4}){3}-[\da-fA-F]{12}"), 36
_GUID_ORDER = (3, 2, 1, 0, 5, 4, 7, 6, *range(8, 16))
_PADATA_SIZE = 8192


@dataclass(slots=True)
class LedTriggers:
    """The ``names`` of the triggers that there are."""

    names: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class Screen:
    """Where the ``contents`` of the only console are, 0 before anybody has asked."""

    contents: int = 0


pairs(
    """
    restart handler: int register_restart_handler(struct notifier_block *nb) / int unregister_restart_handler(struct notifier_block *nb)
    PM notifier: int register_pm_notifier(struct notifier_block *nb) / int unregister_pm_notifier(struct notifier_block *nb)
    LSM notifier: int register_blocking_lsm_notifier(struct notifier_block *nb) / int unregister_blocking_lsm_notifier(struct notifier_block *nb)
    die notifier: int register_die_notifier(struct notifier_block *nb) / int unregister_die_notifier(struct notifier_block *nb)
    OOM notifier: int register_oom_notifier(struct notifier_block *nb) / int unregister_oom_notifier(struct notifier_block *nb)
    terminal notifier: int register_vt_notifier(struct notifier_block *nb) / int unregister_vt_notifier(struct notifier_block *nb)
    ACPI notifier: int register_acpi_notifier(struct notifier_block *nb) / int unregister_acpi_notifier(struct notifier_block *nb)
    machine check notifier: void mce_register_decode_chain(struct notifier_block *nb) / void mce_unregister_decode_chain(struct notifier_block *nb)
    fork notifier: int register_random_vmfork_notifier(struct notifier_block *nb) / int unregister_random_vmfork_notifier(struct notifier_block *nb)
    memory notifier: int register_memory_notifier(struct notifier_block *nb) / void unregister_memory_notifier(struct notifier_block *nb)
    clock notifier: int pvclock_gtod_register_notifier(struct notifier_block *nb) / int pvclock_gtod_unregister_notifier(struct notifier_block *nb)
    power supply notifier: int power_supply_reg_notifier(struct notifier_block *nb) / void power_supply_unreg_notifier(struct notifier_block *nb)
    frequency notifier: int cpufreq_register_notifier(struct notifier_block *nb, unsigned int list) / int cpufreq_unregister_notifier(struct notifier_block *nb, unsigned int list)
    CPU frequency governor (EBUSY): int cpufreq_register_governor(struct cpufreq_governor *governor) / void cpufreq_unregister_governor(struct cpufreq_governor *governor)
    devfreq governor (EINVAL, ENOENT): int devfreq_add_governor(struct devfreq_governor *governor) / int devfreq_remove_governor(struct devfreq_governor *governor)
    system core operations: void register_syscore_ops(struct syscore_ops *ops) / void unregister_syscore_ops(struct syscore_ops *ops)
    system core operations: void register_syscore(struct syscore *syscore) / void unregister_syscore(struct syscore *syscore)
    sysrq key (EPERM, EPERM): int register_sysrq_key(u8 key, const struct sysrq_key_op *op_p) / int unregister_sysrq_key(u8 key, const struct sysrq_key_op *op_p)
    console (-, ENODEV): void register_console(struct console *newcon) / int unregister_console(struct console *newcon)
    log dumper (EBUSY, EINVAL): int kmsg_dump_register(struct kmsg_dumper *dumper) / int kmsg_dump_unregister(struct kmsg_dumper *dumper)
    NMI handler: int __register_nmi_handler(unsigned int type, struct nmiaction *a) / void unregister_nmi_handler(unsigned int type, const char *name)
    kernel probe (EINVAL): int register_kprobe(struct kprobe *p) / void unregister_kprobe(struct kprobe *p)
    kernel probe (EINVAL): int register_kretprobe(struct kretprobe *rp) / void unregister_kretprobe(struct kretprobe *rp)
    trace probe: int tracepoint_probe_register(struct tracepoint *tp, void *probe, void *data) / int tracepoint_probe_unregister(struct tracepoint *tp, void *probe, void *data)
    perf PMU: int perf_pmu_register(struct pmu *pmu, const char *name, int type) / void perf_pmu_unregister(struct pmu *pmu)
    perf PMU: / int perf_pmu_unregister(struct pmu *pmu)
    perf guest callbacks: void perf_register_guest_info_callbacks(struct perf_guest_info_callbacks *cbs) / void perf_unregister_guest_info_callbacks(struct perf_guest_info_callbacks *cbs)
    key type (EEXIST): int register_key_type(struct key_type *ktype) / void unregister_key_type(struct key_type *ktype)
    text search (EEXIST, ENOENT): int textsearch_register(struct ts_ops *ops) / int textsearch_unregister(struct ts_ops *ops)
    compressed pool: void zpool_register_driver(struct zpool_driver *driver) / int zpool_unregister_driver(struct zpool_driver *driver)
    clock source: int __clocksource_register_scale(struct clocksource *cs, u32 scale, u32 freq) / int clocksource_unregister(struct clocksource *cs)
    latency request: void cpu_latency_qos_add_request(struct pm_qos_request *req, s32 value) / void cpu_latency_qos_remove_request(struct pm_qos_request *req)
    ECC decoder: void amd_register_ecc_decoder(void (*f)(int, struct mce *)) / void amd_unregister_ecc_decoder(void (*f)(int, struct mce *))
    pstore backend: int pstore_register(struct pstore_info *psi) / void pstore_unregister(struct pstore_info *psi)
    EFI operations (EBUSY, EINVAL): int efivars_register(struct efivars *efivars, const struct efivar_operations *ops, struct kobject *kobj) until 6.1 / int efivars_unregister(struct efivars *efivars)
    EFI operations (EBUSY, EINVAL): int efivars_register(struct efivars *efivars, const struct efivar_operations *ops) since 6.2
    KVM device (EEXIST): int kvm_register_device_ops(const struct kvm_device_ops *ops, u32 type) / void kvm_unregister_device_ops(u32 type)
    IMA template: int ima_register_template(void *template)
    suspend operations: void acpi_s2idle_register(void *ops) / void acpi_s2idle_unregister(void *ops)
    live patch: int klp_enable_patch(struct klp_patch *patch)
    """
)

# Files and disks.
pairs(
    """
    file system (EBUSY, EINVAL): int register_filesystem(struct file_system_type *fs) / int unregister_filesystem(struct file_system_type *fs)
    character set (EBUSY, EINVAL): int __register_nls(struct nls_table *nls, struct module *owner) / int unregister_nls(struct nls_table *nls)
    binary format: void __register_binfmt(struct linux_binfmt *fmt, int insert) / void unregister_binfmt(struct linux_binfmt *fmt)
    quota format: int register_quota_format(struct quota_format_type *fmt) / void unregister_quota_format(struct quota_format_type *fmt)
    I/O scheduler (EBUSY): int elv_register(struct elevator_type *e) / void elv_unregister(struct elevator_type *e)
    block cgroup policy: int blkcg_policy_register(struct blkcg_policy *pol) / void blkcg_policy_unregister(struct blkcg_policy *pol)
    registered backing device: int bdi_register(struct backing_dev_info *bdi, const char *fmt, ...) / void bdi_unregister(struct backing_dev_info *bdi)
    frontswap backend: int frontswap_register_ops(const struct frontswap_ops *ops)
    transport class: int transport_class_register(struct transport_class *tclass) / void transport_class_unregister(struct transport_class *tclass)
    transport class: int anon_transport_class_register(struct anon_transport_class *atc) / void anon_transport_class_unregister(struct anon_transport_class *atc)
    attribute container: int attribute_container_register(struct attribute_container *cont) / int attribute_container_unregister(struct attribute_container *cont)
    DCB notifier: int register_dcbevent_notifier(struct notifier_block *nb) / int unregister_dcbevent_notifier(struct notifier_block *nb)
    CXL driver (EBUSY): int __cxl_driver_register(struct cxl_driver *drv, struct module *owner, const char *modname) / void cxl_driver_unregister(struct cxl_driver *drv)
    rtnetlink messages: int __rtnl_register_many(const struct rtnl_msg_handler *handlers, int n) / void __rtnl_unregister_many(const struct rtnl_msg_handler *handlers, int n)
    integrity profile: void blk_integrity_register(struct gendisk *disk, struct blk_integrity *template) / void blk_integrity_unregister(struct gendisk *disk)
    tag set: int blk_mq_alloc_tag_set(struct blk_mq_tag_set *set) / void blk_mq_free_tag_set(struct blk_mq_tag_set *set)
    tag set: int blk_mq_alloc_sq_tag_set(struct blk_mq_tag_set *set, const struct blk_mq_ops *ops, unsigned int queue_depth, unsigned int set_flags)
    """
)
makers(
    """
    power-off handler: struct sys_off_handler *register_sys_off_handler(enum sys_off_mode mode, int priority, void *callback, void *cb_data) / void unregister_sys_off_handler(struct sys_off_handler *handler)
    backing device: struct backing_dev_info *bdi_alloc(int node_id) / void bdi_put(struct backing_dev_info *bdi)
    super block: struct super_block *sget(struct file_system_type *type, void *test, void *set, int flags, void *data)
    padata shell: struct padata_shell *padata_alloc_shell(struct padata_instance *pinst) / void padata_free_shell(struct padata_shell *ps)
    """,
    size=8192,
)


@function("struct padata_instance *padata_alloc(const char *name)")
def padata_alloc(machine: Machine, name: int) -> int:
    made = machine.heap.allocate(_PADATA_SIZE)
    start(machine, made + PARALLEL_INSTANCE.kobject)
    machine.ledger.take(_PADATA, made, f"{_PADATA} '{machine.memory.text(name, 64)}'")
    return made


@function("void padata_free(struct padata_instance *pinst)")
def padata_free(machine: Machine, made: int) -> None:
    if machine.ledger.give(_PADATA, made) is not None:
        remove_directory(machine, made + PARALLEL_INSTANCE.kobject)
        forget_name(machine, made + PARALLEL_INSTANCE.kobject)
        machine.heap.free(made)


# Buses whose devices never come.
pairs(
    """
    I2C driver (EBUSY): int i2c_register_driver(struct module *owner, struct i2c_driver *driver) / void i2c_del_driver(struct i2c_driver *driver)
    serio driver (EBUSY): int __serio_register_driver(struct serio_driver *drv, struct module *owner, const char *mod_name) / void serio_unregister_driver(struct serio_driver *drv)
    virtio driver (EBUSY): int __register_virtio_driver(struct virtio_driver *driver, struct module *owner) / void unregister_virtio_driver(struct virtio_driver *driver)
    PHY driver: int phy_drivers_register(struct phy_driver *drv, int n, struct module *owner) / void phy_drivers_unregister(struct phy_driver *drv, int n)
    drop reasons: void drop_reasons_register_subsys(enum skb_drop_reason_subsys subsys, const struct drop_reason_list *list) / void drop_reasons_unregister_subsys(enum skb_drop_reason_subsys subsys)
    netfilter netlink (EBUSY): int nfnetlink_subsys_register(const struct nfnetlink_subsystem *n) / int nfnetlink_subsys_unregister(const struct nfnetlink_subsystem *n)
    serio port: void __serio_register_port(struct serio *serio, struct module *owner) / void serio_unregister_port(struct serio *serio)
    PNP driver (EBUSY): int pnp_register_driver(struct pnp_driver *drv) / void pnp_unregister_driver(struct pnp_driver *drv)
    PNP card driver (EBUSY): int pnp_register_card_driver(struct pnp_card_driver *drv) / void pnp_unregister_card_driver(struct pnp_card_driver *drv)
    EISA driver (EBUSY): int eisa_driver_register(struct eisa_driver *edrv) / void eisa_driver_unregister(struct eisa_driver *edrv)
    ISA driver: int isa_register_driver(struct isa_driver *isa_driver, unsigned int ndev) / void isa_unregister_driver(struct isa_driver *isa_driver)
    MIPI driver (EBUSY): int mipi_dsi_driver_register_full(struct mipi_dsi_driver *drv, struct module *owner) / void mipi_dsi_driver_unregister(struct mipi_dsi_driver *drv)
    MDIO driver (EBUSY): int mdio_driver_register(struct mdio_driver *drv) / void mdio_driver_unregister(struct mdio_driver *drv)
    auxiliary driver (EBUSY): int __auxiliary_driver_register(struct auxiliary_driver *auxdrv, struct module *owner, const char *modname) / void auxiliary_driver_unregister(struct auxiliary_driver *auxdrv)
    HSI driver (EBUSY): int hsi_register_client_driver(struct hsi_client_driver *drv) / void hsi_unregister_client_driver(struct hsi_client_driver *drv)
    ACPI driver (EBUSY): int acpi_bus_register_driver(struct acpi_driver *driver) / void acpi_bus_unregister_driver(struct acpi_driver *driver)
    ACPI driver (EBUSY): int __acpi_bus_register_driver(struct acpi_driver *driver, struct module *owner)
    ACPI bus type (-, ENODEV): int register_acpi_bus_type(struct acpi_bus_type *type) / int unregister_acpi_bus_type(struct acpi_bus_type *type)
    RapidIO driver (EBUSY): int rio_register_driver(struct rio_driver *rdrv) / void rio_unregister_driver(struct rio_driver *rdrv)
    DAX driver (EBUSY): int __dax_driver_register(struct dax_device_driver *dax_drv, struct module *module, const char *mod_name) / void dax_driver_unregister(struct dax_device_driver *dax_drv)
    USB driver (EBUSY): int usb_register_driver(struct usb_driver *new_driver, struct module *owner, const char *mod_name) / void usb_deregister(struct usb_driver *new_driver)
    PCI express service (EBUSY): int pcie_port_service_register(struct pcie_port_service_driver *new) / void pcie_port_service_unregister(struct pcie_port_service_driver *new)
    PCI hotplug slot: int __pci_hp_register(struct hotplug_slot *slot, struct pci_bus *bus, int devnr, const char *name, struct module *owner, const char *mod_name) / void pci_hp_deregister(struct hotplug_slot *slot)
    nubus driver: int nubus_driver_register(struct nubus_driver *ndrv)
    watchdog: int watchdog_register_device(struct watchdog_device *wdd) / void watchdog_unregister_device(struct watchdog_device *wdd)
    LED: int led_classdev_register_ext(struct device *parent, struct led_classdev *led_cdev, struct led_init_data *init_data) / void led_classdev_unregister(struct led_classdev *led_cdev)
    input handler: int input_register_handler(struct input_handler *handler) / void input_unregister_handler(struct input_handler *handler)
    thermal governor (EBUSY): int thermal_register_governor(struct thermal_governor *governor) / void thermal_unregister_governor(struct thermal_governor *governor)
    UART driver: int uart_register_driver(struct uart_driver *uart) / void uart_unregister_driver(struct uart_driver *uart)
    line discipline: int tty_register_ldisc(struct tty_ldisc_ops *new_ldisc) / void tty_unregister_ldisc(struct tty_ldisc_ops *new_ldisc)
    line discipline: int tty_register_ldisc(int disc, struct tty_ldisc_ops *new_ldisc) / int tty_unregister_ldisc(int disc)
    tty driver: int tty_register_driver(struct tty_driver *driver) / int tty_unregister_driver(struct tty_driver *driver)
    frame buffer: int register_framebuffer(struct fb_info *fb_info) / void unregister_framebuffer(struct fb_info *fb_info)
    display panel: void drm_panel_add(struct drm_panel *panel) / void drm_panel_remove(struct drm_panel *panel)
    DMA client: void dmaengine_get(void) / void dmaengine_put(void)
    CPU idle driver: int cpuidle_register_driver(struct cpuidle_driver *drv) / void cpuidle_unregister_driver(struct cpuidle_driver *drv)
    interrupt bypass consumer (EBUSY): int irq_bypass_register_consumer(struct irq_bypass_consumer *consumer) / void irq_bypass_unregister_consumer(struct irq_bypass_consumer *consumer)
    connector callback (EINVAL): int cn_add_callback(const struct cb_id *id, const char *name, void *callback) / void cn_del_callback(const struct cb_id *id)
    class interface: int class_interface_register(struct class_interface *intf) / void class_interface_unregister(struct class_interface *intf)
    PHY fixup (-, ENODEV): int phy_register_fixup(const char *bus_id, u32 phy_uid, u32 phy_uid_mask, void *run) / int phy_unregister_fixup(const char *bus_id, u32 phy_uid, u32 phy_uid_mask)
    backlight notifier: int backlight_register_notifier(struct notifier_block *nb) / int backlight_unregister_notifier(struct notifier_block *nb)
    RTC device: int devm_rtc_nvmem_register(struct rtc_device *rtc, struct nvmem_config *nvmem_config)
    sound device: int register_sound_special_device(const struct file_operations *fops, int unit, struct device *dev) / void unregister_sound_special(int unit)
    ACPI notify handler: int acpi_install_notify_handler(acpi_handle device, u32 type, void *handler, void *context) / acpi_status acpi_remove_notify_handler(acpi_handle device, u32 type, void *handler)
    component master: int component_master_add_with_match(struct device *parent, const void *ops, void *match) / void component_master_del(struct device *parent, const void *ops)
    """
)
makers(
    """
    tty driver: struct tty_driver *__tty_alloc_driver(unsigned int lines, struct module *owner, unsigned long flags) / void tty_driver_kref_put(struct tty_driver *driver)
    power supply: struct power_supply *power_supply_register(struct device *parent, const struct power_supply_desc *desc, const struct power_supply_config *cfg) / void power_supply_unregister(struct power_supply *psy)
    backlight: struct backlight_device *backlight_device_register(const char *name, struct device *parent, void *devdata, const struct backlight_ops *ops, const struct backlight_properties *props) / void backlight_device_unregister(struct backlight_device *bd)
    monitor: struct device *hwmon_device_register_with_info(struct device *dev, const char *name, void *drvdata, const struct hwmon_chip_info *chip, const struct attribute_group **groups) / void hwmon_device_unregister(struct device *dev)
    thermal zone: struct thermal_zone_device *thermal_zone_device_register(const char *type, int ntrips, int mask, void *devdata, void *ops, void *tzp, int passive_delay, int polling_delay) / void thermal_zone_device_unregister(struct thermal_zone_device *tz)
    cooling device: struct thermal_cooling_device *thermal_cooling_device_register(const char *type, void *devdata, const void *ops) / void thermal_cooling_device_unregister(struct thermal_cooling_device *cdev)
    """,
    size=4096,
)


@function("int led_trigger_register(struct led_trigger *trigger)")
def led_trigger_register(machine: Machine, trigger: int) -> int:
    name = machine.memory.text(machine.memory.number(trigger), 64)
    known = machine.state(LedTriggers).names
    if name in known.values():
        return -errno.EEXIST
    known[trigger] = name
    machine.ledger.take(_TRIGGER, trigger, f"{_TRIGGER} '{name}'")
    return 0


@function("void led_trigger_unregister(struct led_trigger *trigger)")
def led_trigger_unregister(machine: Machine, trigger: int) -> None:
    if machine.ledger.give(_TRIGGER, trigger) is not None:
        forget_trigger(machine, trigger)


@reclaims(_TRIGGER)
def forget_trigger(machine: Machine, trigger: int) -> None:
    """Let another have a trigger's name."""
    machine.state(LedTriggers).names.pop(trigger, None)
    machine.heap.free(trigger)


@function("void led_trigger_register_simple(const char *name, struct led_trigger **trigger)")
def led_trigger_register_simple(machine: Machine, name: int, result: int) -> None:
    made = machine.heap.allocate(256)
    machine.memory.put(made, name)
    if led_trigger_register(machine, made):
        machine.heap.free(made)
        made = 0
    machine.memory.put(result, made)


@function("void led_trigger_unregister_simple(struct led_trigger *trigger)")
def led_trigger_unregister_simple(machine: Machine, made: int) -> None:
    led_trigger_unregister(machine, made)


@function("async_cookie_t async_schedule_node(async_func_t func, void *data, int node)")
def async_schedule_node(machine: Machine, work: int, data: int, _node: int) -> int:
    machine.deferred.add(lambda: _run(machine, work, data))
    return 1


def _run(machine: Machine, work: int, data: int) -> None:
    machine.invoke(work, data, 1)


@function(
    "void async_synchronize_cookie(async_cookie_t cookie)", "void async_synchronize_full(void)"
)
def async_synchronize(machine: Machine, *_cookie: int) -> None:
    machine.deferred.run()


@function(
    "kuid_t make_kuid(struct user_namespace *ns, u32 uid)",
    "kgid_t make_kgid(struct user_namespace *ns, u32 gid)",
)
def make_kuid(_machine: Machine, _space: int, number: int) -> int:
    return number


@function("int tty_dev_name_to_number(const char *name, dev_t *number)")
def tty_dev_name_to_number(machine: Machine, name: int, _number: int) -> int:
    has_number = any(each in b"0123456789" for each in machine.memory.string(name))
    return -errno.ENODEV if has_number else -errno.EINVAL


@function(
    "struct tty_struct *tty_kopen_exclusive(dev_t device)",
    "struct tty_struct *tty_kopen_shared(dev_t device)",
)
def tty_kopen(_machine: Machine, *_arguments: int) -> int:
    """There is no line that anything could be at."""
    return -errno.ENODEV


@function("void led_set_brightness(struct led_classdev *led_cdev, unsigned int brightness)")
def led_set_brightness(machine: Machine, led: int, brightness: int) -> None:
    """Have a LED shine so, by the first of its functions; none shines more than it can."""
    level = min(brightness, machine.memory.number(led + LED.most, 4))
    machine.memory.put(led + LED.brightness, level, 4)
    for offset in (LED.set_at_once, LED.set_and_wait):
        code = machine.memory.number(led + offset)
        if code:
            machine.invoke(code, led, level)
            return


@function("struct tty_struct *get_current_tty(void)")
def get_current_tty(_machine: Machine) -> int:
    """Who loads a module does it from no terminal."""
    return 0


@function("unsigned short *screen_pos(const struct vc_data *vc, int w_offset, bool viewed)")
def screen_pos(machine: Machine, _console: int, _offset: int, _viewed: int) -> int:
    """A place on a console that shows nothing."""
    screen = machine.state(Screen)
    if not screen.contents:
        screen.contents = machine.heap.allocate(4096)
    return screen.contents


@function("void getboottime64(struct timespec64 *ts)")
def getboottime64(machine: Machine, address: int) -> None:
    machine.memory.put(address + TIME_SPEC.seconds, 1_600_000_000)
    machine.memory.put(address + TIME_SPEC.nanoseconds, 0)


@function("unsigned long nr_free_buffer_pages(void)")
def nr_free_buffer_pages(_machine: Machine) -> int:
    return 100_000


@function("int uuid_parse(const char *uuid, uuid_t *u)")
def uuid_parse(machine: Machine, text: int, result: int) -> int:
    return _parse_uuid(machine, text, result, range(16))


@function("int guid_parse(const char *uuid, guid_t *u)")
def guid_parse(machine: Machine, text: int, result: int) -> int:
    """The first three numbers are the other way round."""
    return _parse_uuid(machine, text, result, _GUID_ORDER)


def _parse_uuid(machine: Machine, text: int, result: int, order: Sequence[int]) -> int:
    found = _UUID.fullmatch(machine.memory.string(text, _UUID_LENGTH))
    if found is None:
        return -errno.EINVAL
    data = bytes.fromhex(found[0].replace(b"-", b"").decode())
    machine.memory.write(result, bytes(data[each] for each in order))
    return 0


@function("int xfrm_state_flush(struct net *net, u8 proto, bool task_valid)")
def xfrm_state_flush(_machine: Machine, *_arguments: int) -> int:
    """There is no state that could be flushed."""
    return -errno.ESRCH


@function(
    "int vga_client_register(struct pci_dev *pdev, void *set_decode)",
    "int vga_client_register(struct pci_dev *pdev, void *cookie, void *irq_set_state, void"
    " *set_vga_decode)",
)
def vga_client_register(_machine: Machine, _device: int, *_decode: int) -> int:
    """No device shows anything."""
    return -errno.ENODEV


@function(
    "int __vmbus_driver_register(struct hv_driver *hv_driver, struct module *owner, const char"
    " *mod_name)"
)
def vmbus_driver_register(_machine: Machine, *_driver: int) -> int:
    """Where the bus of Hyper-V is part of the kernel, there is none of it on this machine."""
    return -errno.ENODEV


@function("int cpufreq_register_driver(struct cpufreq_driver *driver_data)")
def cpufreq_register_driver(_machine: Machine, _driver: int) -> int:
    """The processor has one frequency only: no driver finds anything to do."""
    return -errno.ENODEV


machine_code(
    RETURN_ZERO,
    """
    int cpufreq_unregister_driver(struct cpufreq_driver *driver)
    int x509_load_certificate_list(const u8 cert_list[], const unsigned long list_size, const struct key *keyring)
    struct regmap *dev_get_regmap(struct device *dev, const char *name)
    bool fb_modesetting_disabled(const char *drvname)
    bool video_firmware_drivers_only(void)
    bool acpi_quirk_skip_acpi_ac_and_battery(void)
    int register_btf_kfunc_id_set(int prog_type, const void *kset)
    int rtnl_register_module(struct module *owner, int protocol, int msgtype, void *doit, void *dumpit, unsigned int flags)
    int rtnl_unregister(int protocol, int msgtype)
    bool drm_firmware_drivers_only(void)
    unsigned long cachemode2protval(enum page_cache_mode pcm)
    int acpi_processor_preregister_performance(struct acpi_processor_performance *performance)
    int nf_log_set(struct net *net, u_int8_t pf, const struct nf_logger *logger)
    int netdev_class_create_file_ns(const struct class_attribute *class_attr, const void *ns)
    """,
)
machine_code(
    RETURN,
    """
    void led_trigger_event(struct led_trigger *trigger, enum led_brightness event)
    void mmu_notifier_synchronize(void)
    void nf_log_unset(struct net *net, const struct nf_logger *logger)
    void netdev_class_remove_file_ns(const struct class_attribute *class_attr, const void *ns)
    void blk_queue_max_segment_size(struct request_queue *q, unsigned int max_size)
    void blk_queue_max_segments(struct request_queue *q, unsigned short max_segments)
    void skb_queue_purge(struct sk_buff_head *list)
    void skb_queue_purge_reason(struct sk_buff_head *list, enum skb_drop_reason reason)
    void tty_kref_put(struct tty_struct *tty)
    void tty_port_init(struct tty_port *port)
    void tty_port_destroy(struct tty_port *port)
    void tty_port_link_device(struct tty_port *port, struct tty_driver *driver, unsigned index)
    void n_tty_inherit_ops(struct tty_ldisc_ops *ops)
    void __static_call_update(struct static_call_key *key, void *tramp, void *func)
    void cxl_bus_drain(void)
    void xfrm_flush_gc(void)
    void nfnl_lock(u8 subsys_id)
    void nfnl_unlock(u8 subsys_id)
    void fqdir_pre_exit(struct fqdir *fqdir)
    void udp_encap_enable(void)
    void tcp_sock_set_nodelay(struct sock *sk)
    """,
)
