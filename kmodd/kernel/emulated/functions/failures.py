# SPDX-License-Identifier: Apache-2.0
"""How the modelled functions fail, and what those take back that have no line of a pair.

Each group is what the kernel itself returns where it has nothing to give: memory is short, a name
or a number is taken, a signal has come. That a notifier, an algorithm or a driver of some bus is
registered fails as its line in its subsystem's file says.
"""

from kmodd.kernel.emulated.abi.failing import cannot_fail, fails, gives_back, may_give_nothing
from kmodd.kernel.emulated.abi.structures import KERNEL_SET, KOBJECT, PLATFORM_DEVICE
from kmodd.kernel.emulated.functions.devices import device_initialize
from kmodd.kernel.emulated.functions.kobjects import forget_name, kobject_init, start
from kmodd.kernel.emulated.machine.machine import Machine

fails(
    "NULL",
    """
    __kmalloc __kmalloc_noprof __kmalloc_node __kmalloc_node_noprof
    __kmalloc_node_track_caller __kmalloc_node_track_caller_noprof __kmalloc_track_caller
    kmalloc_large __kmalloc_large_noprof kmalloc_large_node __kmalloc_large_node_noprof
    kmalloc_order kmalloc_order_trace kmalloc_trace __kmalloc_cache_noprof kmem_cache_alloc_trace
    kmalloc_node_trace __kmalloc_cache_node_noprof kmem_cache_alloc_node_trace
    kvmalloc_node kvmalloc_node_noprof __kvmalloc_node_noprof krealloc krealloc_noprof
    krealloc_node_align_noprof kvrealloc kvrealloc_noprof kvrealloc_node_align_noprof
    vmalloc vmalloc_noprof vzalloc vzalloc_noprof vmalloc_node vmalloc_node_noprof vzalloc_node
    vzalloc_node_noprof vmalloc_user vmalloc_user_noprof vmalloc_32 vmalloc_32_noprof
    vmalloc_32_user vmalloc_32_user_noprof __vmalloc __vmalloc_noprof vmalloc_huge
    vmalloc_huge_noprof vmalloc_huge_node_noprof vmalloc_array_noprof vcalloc_noprof vmap
    kmemdup kmemdup_noprof kmemdup_array kvmemdup kmemdup_nul kstrdup kstrdup_const kstrndup
    kasprintf kvasprintf kvasprintf_const
    kmem_cache_alloc kmem_cache_alloc_noprof kmem_cache_alloc_node kmem_cache_alloc_node_noprof
    kmem_cache_alloc_lru kmem_cache_alloc_lru_noprof kmem_cache_create kmem_cache_create_usercopy
    __kmem_cache_create_args mempool_create mempool_create_noprof mempool_create_node
    mempool_create_node_noprof dma_pool_create dma_pool_create_node dma_alloc_attrs
    __alloc_pages __alloc_pages_noprof __alloc_pages_nodemask alloc_pages alloc_pages_noprof
    alloc_pages_current alloc_pages_exact alloc_pages_exact_noprof folio_alloc folio_alloc_noprof
    __get_free_pages get_free_pages_noprof get_zeroed_page get_zeroed_page_noprof
    __alloc_percpu __alloc_percpu_gfp pcpu_alloc_noprof bitmap_alloc bitmap_zalloc
    ioremap ioremap_cache ioremap_wc ioremap_uc memremap __request_region
    devm_kmalloc devm_kasprintf devm_kstrdup devm_kmemdup __devres_alloc_node devres_open_group
    __devm_request_region
    alloc_workqueue alloc_workqueue_noprof cdev_alloc
    alloc_etherdev_mqs alloc_netdev_mqs sk_alloc
    kobject_create_and_add kset_create_and_add
    platform_device_alloc input_allocate_device new_inode d_alloc_name d_make_root
    register_net_sysctl register_net_sysctl_sz relay_open padata_alloc
    """,
)
fails(
    "NULL",
    """
    proc_create proc_create_data proc_mkdir proc_mkdir_data proc_mkdir_mode _proc_mkdir
    proc_create_net_data proc_create_net_data_write proc_create_net_single
    proc_create_net_single_write proc_create_seq_private proc_create_single_data proc_symlink
    register_sysctl register_sysctl_sz register_sysctl_table
    """,
    is_optional=True,
)
fails(
    "ERR_PTR(-ENOMEM)",
    """
    __class_create class_create device_create device_create_with_groups __root_device_register
    kthread_create_on_node kthread_create_on_cpu kthread_create_worker kthread_create_worker_on_cpu
    kthread_create_worker_on_node platform_device_register_full __platform_create_bundle
    kern_mount crypto_alloc_ahash crypto_alloc_shash crypto_alloc_skcipher
    crypto_alloc_sync_skcipher crypto_alloc_aead crypto_alloc_base
    __blk_alloc_disk __blk_mq_alloc_disk blk_mq_init_queue blk_mq_alloc_queue
    power_supply_register backlight_device_register hwmon_device_register_with_info
    thermal_zone_device_register thermal_cooling_device_register alloc_anon_inode
    register_sys_off_handler __tty_alloc_driver
    """,
)
fails(
    "ERR_PTR(-ENOMEM)",
    """
    debugfs_create_dir debugfs_create_file debugfs_create_file_full debugfs_create_file_short
    debugfs_create_file_unsafe debugfs_create_blob
    """,
    may_be_ignored=True,
)
fails(
    "-ENOMEM",
    """
    init_srcu_struct __percpu_init_rwsem radix_tree_maybe_preload devm_led_classdev_register_ext
    devm_watchdog_register_device cdev_add blk_mq_alloc_tag_set blk_mq_alloc_sq_tag_set __percpu_counter_init
    __percpu_counter_init_many rhashtable_init
    rhashtable_init_noprof rhltable_init rhltable_init_noprof __rhashtable_init_noprof
    __rhltable_init_noprof platform_device_add_data platform_device_add_resources
    ida_alloc_range idr_alloc idr_alloc_cyclic idr_alloc_u32 __xa_alloc __xa_alloc_cyclic
    __xa_insert radix_tree_insert
    devm_add_action __devm_add_action device_add_disk register_pernet_subsys
    register_pernet_device register_netdev register_netdevice dev_set_name kobject_set_name
    sock_create_kern __sock_create input_register_device proto_register
    led_trigger_register
    __cpuhp_setup_state bus_register __class_register class_register
    """,
)
fails(
    "-ENOMEM",
    """
    sysfs_create_file_ns sysfs_create_files sysfs_create_group sysfs_create_groups
    sysfs_create_bin_file sysfs_create_link sysfs_create_link_nowarn sysfs_merge_group
    sysfs_create_mount_point device_create_file device_create_bin_file device_add_groups
    driver_create_file bus_create_file class_create_file_ns devm_device_add_group
    devm_device_add_groups pci_alloc_irq_vectors pci_alloc_irq_vectors_affinity
    pci_enable_msix_range
    """,
    is_optional=True,
)
fails(
    "-EBUSY",
    """
    alloc_chrdev_region register_chrdev_region __register_chrdev __register_blkdev misc_register
    register_filesystem request_threaded_irq devm_request_threaded_irq request_dma
    driver_register __platform_driver_register __pci_register_driver __platform_register_drivers
    genl_register_family sock_register pci_enable_device pci_enable_device_mem pcim_enable_device
    pci_request_regions pci_request_selected_regions pci_request_selected_regions_exclusive
    pcim_iomap_regions pcim_iomap_regions_request_all
    """,
)
fails(
    "false", "alloc_cpumask_var_node zalloc_cpumask_var_node alloc_cpumask_var zalloc_cpumask_var"
)
fails("-EEXIST", "device_add platform_device_add cdev_device_add kobject_add")
fails("-EEXIST", "register_key_type tcp_register_congestion_control rtnl_link_register")
fails("-EEXIST", "__rtnl_link_register")
fails("-EIO", "dma_set_mask dma_set_coherent_mask")
fails(
    "-EINTR",
    """
    mutex_lock_interruptible mutex_lock_killable down_interruptible down_killable
    down_read_killable down_write_killable
    """,
)
fails(
    "-ERESTARTSYS",
    """
    wait_for_completion_interruptible wait_for_completion_interruptible_timeout
    wait_for_completion_killable wait_for_completion_killable_timeout
    """,
)


def _no_firmware(machine: Machine, result: int, *_rest: int) -> None:
    """Nothing is handed over."""
    machine.memory.put(result, 0)


fails(
    "-ENOENT",
    """
    request_firmware request_firmware_direct firmware_request_nowarn firmware_request_platform
    request_firmware_into_buf request_partial_firmware_into_buf
    """,
    before=_no_firmware,
)
fails("-EEXIST", "device_register", before=device_initialize)


def _begin_platform_device(machine: Machine, device: int) -> None:
    start(machine, device + PLATFORM_DEVICE.device)


def _begin_kobject(machine: Machine, kobject: int, kind: int, *_rest: int) -> None:
    kobject_init(machine, kobject, kind)


def _refuse_set(machine: Machine, kset: int) -> None:
    """Free its name, as the kernel does since 6.2 (and 6.1.21)."""
    start(machine, kset + KERNEL_SET.object)
    forget_name(machine, kset + KERNEL_SET.object)
    machine.memory.put(kset + KERNEL_SET.object + KOBJECT.name, 0)


fails("-EEXIST", "kset_register", before=_refuse_set)
fails("-EEXIST", "platform_device_register", before=_begin_platform_device)
fails("-EEXIST", "kobject_init_and_add", before=_begin_kobject)


cannot_fail(
    """
    xfrm_register_km rtnl_af_register frontswap_register_ops cgroup_bpf_link_attach
    attribute_container_register anon_transport_class_register register_restart_handler
    """
)

may_give_nothing(
    """
    bioset_exit mempool_exit list_lru_destroy unregister_shrinker led_classdev_unregister
    irq_bypass_unregister_consumer component_master_del
    """
)
gives_back("cdev", "cdev_del")
gives_back("misc device", "misc_deregister")
gives_back("class", "class_destroy class_unregister")
gives_back("bus", "bus_unregister")
gives_back("device", "device_unregister device_del")
gives_back("slab cache", "kmem_cache_destroy")
gives_back("memory pool", "mempool_destroy dma_pool_destroy")
gives_back("network device", "free_netdev")
gives_back("disk", "put_disk")
gives_back("LED trigger", "led_trigger_unregister")
