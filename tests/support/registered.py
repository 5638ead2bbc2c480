# SPDX-License-Identifier: Apache-2.0
"""What modules register that nothing but the ledger depends on, and the errors that each has."""

import errno

from tests.support.registrations import Pair


def _notifier(take: str, give: str, kind: str, at: int = 0) -> Pair:
    return Pair(take, give, kind, at, at, again=errno.EEXIST, missing=errno.ENOENT)


PAIRS = (
    Pair("register_syscore", "unregister_syscore", "system core operations"),
    Pair(
        "__acpi_bus_register_driver", "acpi_bus_unregister_driver", "ACPI driver", again=errno.EBUSY
    ),
    Pair(
        "__register_virtio_driver", "unregister_virtio_driver", "virtio driver", again=errno.EBUSY
    ),
    Pair("phy_drivers_register", "phy_drivers_unregister", "PHY driver"),
    Pair(
        "drop_reasons_register_subsys",
        "drop_reasons_unregister_subsys",
        "drop reasons",
        number=True,
    ),
    Pair(
        "nfnetlink_subsys_register",
        "nfnetlink_subsys_unregister",
        "netfilter netlink",
        again=errno.EBUSY,
    ),
    Pair("mce_register_decode_chain", "mce_unregister_decode_chain", "machine check notifier"),
    Pair(
        "register_memory_notifier",
        "unregister_memory_notifier",
        "memory notifier",
        again=errno.EEXIST,
    ),
    Pair(
        "power_supply_reg_notifier",
        "power_supply_unreg_notifier",
        "power supply notifier",
        again=errno.EEXIST,
    ),
    _notifier("register_reboot_notifier", "unregister_reboot_notifier", "reboot notifier"),
    _notifier("register_restart_handler", "unregister_restart_handler", "restart handler"),
    _notifier(
        "blocking_notifier_chain_register", "blocking_notifier_chain_unregister", "notifier", 1
    ),
    _notifier("atomic_notifier_chain_register", "atomic_notifier_chain_unregister", "notifier", 1),
    _notifier("raw_notifier_chain_register", "raw_notifier_chain_unregister", "notifier", 1),
    _notifier("srcu_notifier_chain_register", "srcu_notifier_chain_unregister", "notifier", 1),
    _notifier("register_pm_notifier", "unregister_pm_notifier", "PM notifier"),
    _notifier("register_blocking_lsm_notifier", "unregister_blocking_lsm_notifier", "LSM notifier"),
    _notifier("register_die_notifier", "unregister_die_notifier", "die notifier"),
    _notifier("register_oom_notifier", "unregister_oom_notifier", "OOM notifier"),
    _notifier("register_keyboard_notifier", "unregister_keyboard_notifier", "keyboard notifier"),
    _notifier("register_vt_notifier", "unregister_vt_notifier", "terminal notifier"),
    _notifier("register_acpi_notifier", "unregister_acpi_notifier", "ACPI notifier"),
    _notifier(
        "pvclock_gtod_register_notifier", "pvclock_gtod_unregister_notifier", "clock notifier"
    ),
    _notifier("cpufreq_register_notifier", "cpufreq_unregister_notifier", "frequency notifier"),
    _notifier("crypto_register_notifier", "crypto_unregister_notifier", "crypto algorithm"),
    _notifier(
        "register_random_vmfork_notifier", "unregister_random_vmfork_notifier", "fork notifier"
    ),
    _notifier("register_dcbevent_notifier", "unregister_dcbevent_notifier", "DCB notifier"),
    _notifier("backlight_register_notifier", "backlight_unregister_notifier", "backlight notifier"),
    Pair(
        "cpufreq_register_governor",
        "cpufreq_unregister_governor",
        "CPU frequency governor",
        again=errno.EBUSY,
    ),
    Pair(
        "devfreq_add_governor",
        "devfreq_remove_governor",
        "devfreq governor",
        again=errno.EINVAL,
        missing=errno.ENOENT,
    ),
    Pair("register_syscore_ops", "unregister_syscore_ops", "system core operations"),
    Pair(
        "register_sysrq_key",
        "unregister_sysrq_key",
        "sysrq key",
        number=True,
        again=errno.EPERM,
        missing=errno.EPERM,
    ),
    Pair("register_console", "unregister_console", "console", missing=errno.ENODEV),
    Pair(
        "kmsg_dump_register",
        "kmsg_dump_unregister",
        "log dumper",
        again=errno.EBUSY,
        missing=errno.EINVAL,
    ),
    Pair("__register_nmi_handler", "unregister_nmi_handler", "NMI handler", number=True),
    Pair("register_kprobe", "unregister_kprobe", "kernel probe", again=errno.EINVAL),
    Pair("register_kretprobe", "unregister_kretprobe", "kernel probe", again=errno.EINVAL),
    Pair("tracepoint_probe_register", "tracepoint_probe_unregister", "trace probe"),
    Pair("perf_pmu_register", "perf_pmu_unregister", "perf PMU"),
    Pair(
        "perf_register_guest_info_callbacks",
        "perf_unregister_guest_info_callbacks",
        "perf guest callbacks",
    ),
    Pair("register_key_type", "unregister_key_type", "key type", again=errno.EEXIST),
    Pair(
        "textsearch_register",
        "textsearch_unregister",
        "text search",
        again=errno.EEXIST,
        missing=errno.ENOENT,
    ),
    Pair("zpool_register_driver", "zpool_unregister_driver", "compressed pool"),
    Pair("__clocksource_register_scale", "clocksource_unregister", "clock source"),
    Pair("cpu_latency_qos_add_request", "cpu_latency_qos_remove_request", "latency request"),
    Pair("amd_register_ecc_decoder", "amd_unregister_ecc_decoder", "ECC decoder"),
    Pair("pstore_register", "pstore_unregister", "pstore backend"),
    Pair(
        "efivars_register",
        "efivars_unregister",
        "EFI operations",
        again=errno.EBUSY,
        missing=errno.EINVAL,
    ),
    Pair(
        "kvm_register_device_ops",
        "kvm_unregister_device_ops",
        "KVM device",
        at=1,
        number=True,
        again=errno.EEXIST,
    ),
    Pair("ima_register_template", "", "IMA template"),
    Pair("acpi_s2idle_register", "acpi_s2idle_unregister", "suspend operations"),
    Pair("klp_enable_patch", "", "live patch"),
    Pair("crypto_register_alg", "crypto_unregister_alg", "crypto algorithm", again=errno.EEXIST),
    Pair("crypto_register_algs", "crypto_unregister_algs", "crypto algorithm", again=errno.EEXIST),
    Pair(
        "crypto_register_shash", "crypto_unregister_shash", "crypto algorithm", again=errno.EEXIST
    ),
    Pair(
        "crypto_register_shashes",
        "crypto_unregister_shashes",
        "crypto algorithm",
        again=errno.EEXIST,
    ),
    Pair(
        "crypto_register_ahash", "crypto_unregister_ahash", "crypto algorithm", again=errno.EEXIST
    ),
    Pair(
        "crypto_register_ahashes",
        "crypto_unregister_ahashes",
        "crypto algorithm",
        again=errno.EEXIST,
    ),
    Pair(
        "crypto_register_skcipher",
        "crypto_unregister_skcipher",
        "crypto algorithm",
        again=errno.EEXIST,
    ),
    Pair(
        "crypto_register_skciphers",
        "crypto_unregister_skciphers",
        "crypto algorithm",
        again=errno.EEXIST,
    ),
    Pair("crypto_register_aead", "crypto_unregister_aead", "crypto algorithm", again=errno.EEXIST),
    Pair(
        "crypto_register_aeads", "crypto_unregister_aeads", "crypto algorithm", again=errno.EEXIST
    ),
    Pair("crypto_register_rng", "crypto_unregister_rng", "crypto algorithm", again=errno.EEXIST),
    Pair("crypto_register_rngs", "crypto_unregister_rngs", "crypto algorithm", again=errno.EEXIST),
    Pair("crypto_register_kpp", "crypto_unregister_kpp", "crypto algorithm", again=errno.EEXIST),
    Pair(
        "crypto_register_akcipher",
        "crypto_unregister_akcipher",
        "crypto algorithm",
        again=errno.EEXIST,
    ),
    Pair(
        "crypto_register_acomp", "crypto_unregister_acomp", "crypto algorithm", again=errno.EEXIST
    ),
    Pair(
        "crypto_register_scomp", "crypto_unregister_scomp", "crypto algorithm", again=errno.EEXIST
    ),
    Pair(
        "crypto_register_template",
        "crypto_unregister_template",
        "crypto algorithm",
        again=errno.EEXIST,
    ),
    Pair(
        "crypto_register_templates",
        "crypto_unregister_templates",
        "crypto algorithm",
        again=errno.EEXIST,
    ),
    Pair(
        "register_filesystem",
        "unregister_filesystem",
        "file system",
        again=errno.EBUSY,
        missing=errno.EINVAL,
    ),
    Pair(
        "__register_nls", "unregister_nls", "character set", again=errno.EBUSY, missing=errno.EINVAL
    ),
    Pair("__register_binfmt", "unregister_binfmt", "binary format"),
    Pair("register_quota_format", "unregister_quota_format", "quota format"),
    Pair("elv_register", "elv_unregister", "I/O scheduler", again=errno.EBUSY),
    Pair("blkcg_policy_register", "blkcg_policy_unregister", "block cgroup policy"),
    Pair("bdi_register", "bdi_unregister", "registered backing device"),
    Pair("frontswap_register_ops", "", "frontswap backend"),
    Pair("transport_class_register", "transport_class_unregister", "transport class"),
    Pair("anon_transport_class_register", "anon_transport_class_unregister", "transport class"),
    Pair("attribute_container_register", "attribute_container_unregister", "attribute container"),
    Pair("__cxl_driver_register", "cxl_driver_unregister", "CXL driver", again=errno.EBUSY),
    Pair("__rtnl_register_many", "__rtnl_unregister_many", "rtnetlink messages"),
    Pair("device_add_disk", "del_gendisk", "added disk", at=1),
    Pair("blk_integrity_register", "blk_integrity_unregister", "integrity profile"),
    Pair("blk_mq_alloc_tag_set", "blk_mq_free_tag_set", "tag set"),
    Pair("blk_mq_alloc_sq_tag_set", "blk_mq_free_tag_set", "tag set"),
    Pair("i2c_register_driver", "i2c_del_driver", "I2C driver", at=1, again=errno.EBUSY),
    Pair("__serio_register_driver", "serio_unregister_driver", "serio driver", again=errno.EBUSY),
    Pair("__serio_register_port", "serio_unregister_port", "serio port"),
    Pair("pnp_register_driver", "pnp_unregister_driver", "PNP driver", again=errno.EBUSY),
    Pair(
        "pnp_register_card_driver",
        "pnp_unregister_card_driver",
        "PNP card driver",
        again=errno.EBUSY,
    ),
    Pair("eisa_driver_register", "eisa_driver_unregister", "EISA driver", again=errno.EBUSY),
    Pair("isa_register_driver", "isa_unregister_driver", "ISA driver"),
    Pair(
        "mipi_dsi_driver_register_full",
        "mipi_dsi_driver_unregister",
        "MIPI driver",
        again=errno.EBUSY,
    ),
    Pair("mdio_driver_register", "mdio_driver_unregister", "MDIO driver", again=errno.EBUSY),
    Pair(
        "__auxiliary_driver_register",
        "auxiliary_driver_unregister",
        "auxiliary driver",
        again=errno.EBUSY,
    ),
    Pair(
        "hsi_register_client_driver",
        "hsi_unregister_client_driver",
        "HSI driver",
        again=errno.EBUSY,
    ),
    Pair(
        "acpi_bus_register_driver", "acpi_bus_unregister_driver", "ACPI driver", again=errno.EBUSY
    ),
    Pair(
        "register_acpi_bus_type", "unregister_acpi_bus_type", "ACPI bus type", missing=errno.ENODEV
    ),
    Pair("rio_register_driver", "rio_unregister_driver", "RapidIO driver", again=errno.EBUSY),
    Pair("__dax_driver_register", "dax_driver_unregister", "DAX driver", again=errno.EBUSY),
    Pair("usb_register_driver", "usb_deregister", "USB driver", again=errno.EBUSY),
    Pair(
        "pcie_port_service_register",
        "pcie_port_service_unregister",
        "PCI express service",
        again=errno.EBUSY,
    ),
    Pair("__pci_hp_register", "pci_hp_deregister", "PCI hotplug slot"),
    Pair("nubus_driver_register", "", "nubus driver"),
    Pair("watchdog_register_device", "watchdog_unregister_device", "watchdog"),
    Pair("led_classdev_register_ext", "led_classdev_unregister", "LED", at=1),
    Pair("input_register_handler", "input_unregister_handler", "input handler"),
    Pair(
        "thermal_register_governor",
        "thermal_unregister_governor",
        "thermal governor",
        again=errno.EBUSY,
    ),
    Pair("uart_register_driver", "uart_unregister_driver", "UART driver"),
    Pair("tty_register_ldisc", "tty_unregister_ldisc", "line discipline"),
    Pair("tty_register_driver", "tty_unregister_driver", "tty driver"),
    Pair("register_framebuffer", "unregister_framebuffer", "frame buffer"),
    Pair("drm_panel_add", "drm_panel_remove", "display panel"),
    Pair("dmaengine_get", "dmaengine_put", "DMA client", counted=True),
    Pair("cpuidle_register_driver", "cpuidle_unregister_driver", "CPU idle driver"),
    Pair(
        "irq_bypass_register_consumer",
        "irq_bypass_unregister_consumer",
        "interrupt bypass consumer",
        again=errno.EBUSY,
    ),
    Pair("cn_add_callback", "cn_del_callback", "connector callback", again=errno.EINVAL),
    Pair("class_interface_register", "class_interface_unregister", "class interface"),
    Pair("phy_register_fixup", "phy_unregister_fixup", "PHY fixup", missing=errno.ENODEV),
    Pair("devm_rtc_nvmem_register", "", "RTC device"),
    Pair(
        "register_sound_special_device",
        "unregister_sound_special",
        "sound device",
        at=1,
        number=True,
    ),
    Pair("acpi_install_notify_handler", "acpi_remove_notify_handler", "ACPI notify handler"),
    Pair("component_master_add_with_match", "component_master_del", "component master"),
)
MAKERS = [
    ("crypto_alloc_sync_skcipher", "", "cipher transform"),
    ("crypto_alloc_aead", "", "cipher transform"),
    ("crypto_alloc_base", "", "cipher transform"),
    ("register_sys_off_handler", "unregister_sys_off_handler", "power-off handler"),
    ("bdi_alloc", "bdi_put", "backing device"),
    ("sget", "", "super block"),
    ("padata_alloc_shell", "padata_free_shell", "padata shell"),
    ("__tty_alloc_driver", "tty_driver_kref_put", "tty driver"),
    ("power_supply_register", "power_supply_unregister", "power supply"),
    ("backlight_device_register", "backlight_device_unregister", "backlight"),
    ("hwmon_device_register_with_info", "hwmon_device_unregister", "monitor"),
    ("thermal_zone_device_register", "thermal_zone_device_unregister", "thermal zone"),
    ("thermal_cooling_device_register", "thermal_cooling_device_unregister", "cooling device"),
]
