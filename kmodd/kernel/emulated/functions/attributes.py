# SPDX-License-Identifier: Apache-2.0
"""What modules make in the directories of objects in /sys: files, groups, links (fs/sysfs)."""

import errno

from kmodd.kernel.emulated.abi.function_table import RETURN, RETURN_ZERO, function, machine_code
from kmodd.kernel.emulated.functions import sysfs
from kmodd.kernel.emulated.functions.attribute_files import Owner
from kmodd.kernel.emulated.machine.machine import Machine

_LINK = 0o777
_MOUNT_POINT = "mount point"


@function("int device_create_file(struct device *dev, const struct device_attribute *attr)")
def device_create_file(machine: Machine, device: int, attribute: int) -> int:
    return sysfs.add_attribute(machine, device, attribute, Owner.PART) if device else 0


@function(
    "int sysfs_create_file_ns(struct kobject *kobj, const struct attribute *attr, const void *ns)",
)
def create_file(machine: Machine, kobject: int, attribute: int, _space: int) -> int:
    return sysfs.add_attribute(machine, kobject, attribute)


@function(
    "int sysfs_create_bin_file(struct kobject *kobj, const struct bin_attribute *attr)",
    "int device_create_bin_file(struct device *dev, const struct bin_attribute *attr)",
)
def create_binary_file(machine: Machine, kobject: int, attribute: int) -> int:
    return sysfs.add_attribute(machine, kobject, attribute, is_binary=True)


@function(
    "int driver_create_file(struct device_driver *drv, const struct driver_attribute *attr)",
    "int bus_create_file(struct bus_type *bus, struct bus_attribute *attr)",
)
def create_bus_file(machine: Machine, bus: int, attribute: int) -> int:
    return sysfs.add_attribute(machine, bus, attribute, Owner.BUS)


@function(
    "int class_create_file_ns(struct class *cls, const struct class_attribute *attr, const void *ns)",
)
def create_class_file(machine: Machine, which: int, attribute: int, _space: int) -> int:
    return sysfs.add_attribute(machine, which, attribute, Owner.PART)


@function(
    "void sysfs_remove_file_ns(struct kobject *kobj, const struct attribute *attr, const void *ns)",
    "void sysfs_remove_bin_file(struct kobject *kobj, const struct bin_attribute *attr)",
    "void device_remove_file(struct device *dev, const struct device_attribute *attr)",
    "void device_remove_bin_file(struct device *dev, const struct bin_attribute *attr)",
    "void driver_remove_file(struct device_driver *drv, const struct driver_attribute *attr)",
    "void bus_remove_file(struct bus_type *bus, struct bus_attribute *attr)",
    "void class_remove_file_ns(struct class *cls, const struct class_attribute *attr, const void *ns)",
)
def remove_file(machine: Machine, kobject: int, attribute: int, *_space: int) -> None:
    if attribute:
        sysfs.remove_attribute(machine, kobject, attribute)


@function("int sysfs_create_files(struct kobject *kobj, const struct attribute * const *attr)")
def create_files(machine: Machine, kobject: int, attributes: int) -> int:
    made = list[int]()
    for each in sysfs.pointers(machine, attributes):
        code = sysfs.add_attribute(machine, kobject, each)
        if code:
            for one in made:
                sysfs.remove_attribute(machine, kobject, one)
            return code
        made.append(each)
    return 0


@function("void sysfs_remove_files(struct kobject *kobj, const struct attribute * const *attr)")
def remove_files(machine: Machine, kobject: int, attributes: int) -> None:
    for each in sysfs.pointers(machine, attributes):
        sysfs.remove_attribute(machine, kobject, each)


@function(
    "int sysfs_create_group(struct kobject *kobj, const struct attribute_group *grp)",
    "int devm_device_add_group(struct device *dev, const struct attribute_group *grp)",
)
def create_group(machine: Machine, kobject: int, group: int) -> int:
    return sysfs.add_group(machine, kobject, group)


@function(
    "void sysfs_remove_group(struct kobject *kobj, const struct attribute_group *grp)",
)
def remove_group(machine: Machine, kobject: int, group: int) -> None:
    sysfs.remove_group(machine, kobject, group)


def _directory_of(machine: Machine, kobject: int, group: int) -> int | None:
    """Return the directory that a group's files are in, None where that is missing."""
    directory, name = sysfs.kernel_directory(machine, kobject), sysfs.group_name(machine, group)
    if not name or directory not in machine.mounts.sysfs:
        return directory
    return machine.mounts.sysfs.child(directory, name)


@function("int sysfs_update_group(struct kobject *kobj, const struct attribute_group *grp)")
def update_group(machine: Machine, kobject: int, group: int) -> int:
    """The files that are visible by now are there with their modes of now."""
    if not kobject or not any(sysfs.tables(machine, group)):
        return -errno.EINVAL
    directory = _directory_of(machine, kobject, group)
    if directory is None:
        return -errno.EINVAL
    sysfs.empty_group(machine, group, directory)
    return sysfs.fill_group(machine, kobject, group, directory)


@function("int sysfs_merge_group(struct kobject *kobj, const struct attribute_group *grp)")
def merge_group(machine: Machine, kobject: int, group: int) -> int:
    """The files come into the directory of another group."""
    directory = _directory_of(machine, kobject, group)
    if directory is None:
        return -errno.ENOENT
    return sysfs.fill_group(machine, kobject, group, directory)


@function("void sysfs_unmerge_group(struct kobject *kobj, const struct attribute_group *grp)")
def unmerge_group(machine: Machine, kobject: int, group: int) -> None:
    directory = _directory_of(machine, kobject, group)
    if directory is not None:
        sysfs.empty_group(machine, group, directory)


@function(
    "int sysfs_create_groups(struct kobject *kobj, const struct attribute_group **groups)",
)
def create_groups(machine: Machine, kobject: int, groups: int) -> int:
    return sysfs.add_groups(machine, kobject, groups)


@function(
    "int device_add_groups(struct device *dev, const struct attribute_group **groups)",
    "int devm_device_add_groups(struct device *dev, const struct attribute_group **groups)",
)
def add_device_groups(machine: Machine, device: int, groups: int) -> int:
    return sysfs.add_groups(machine, device, groups, Owner.PART)


@function(
    "void sysfs_remove_groups(struct kobject *kobj, const struct attribute_group **groups)",
    "void device_remove_groups(struct device *dev, const struct attribute_group **groups)",
)
def remove_groups(machine: Machine, kobject: int, groups: int) -> None:
    for group in sysfs.pointers(machine, groups):
        sysfs.remove_group(machine, kobject, group)


@function(
    "int sysfs_create_link(struct kobject *kobj, struct kobject *target, const char *name)",
    "int sysfs_create_link_nowarn(struct kobject *kobj, struct kobject *target, const char *name)",
)
def create_link(machine: Machine, kobject: int, _target: int, name: int) -> int:
    if not name:
        return -errno.EINVAL
    directory = sysfs.kernel_directory(machine, kobject)
    return sysfs.add_file(machine, directory, machine.memory.text(name, 255), _LINK)


@function("void sysfs_remove_link(struct kobject *kobj, const char *name)")
def remove_link(machine: Machine, kobject: int, name: int) -> None:
    sysfs.remove_file(
        machine, sysfs.kernel_directory(machine, kobject), machine.memory.text(name, 255)
    )


@function("int sysfs_create_mount_point(struct kobject *parent_kobj, const char *name)")
def create_mount_point(machine: Machine, parent: int, name: int) -> int:
    """A directory that stays empty."""
    directory, text = sysfs.kernel_directory(machine, parent), machine.memory.text(name, 255)
    code = sysfs.add_directory(machine, sysfs.key_of(machine, directory, text), directory, text)
    if not code:
        machine.ledger.take(_MOUNT_POINT, parent, f"{_MOUNT_POINT} '{text}'")
    return code


@function("void sysfs_remove_mount_point(struct kobject *parent_kobj, const char *name)")
def remove_mount_point(machine: Machine, parent: int, name: int) -> None:
    directory = sysfs.kernel_directory(machine, parent)
    found = machine.mounts.sysfs.child(directory, machine.memory.text(name, 255))
    if found is not None:
        sysfs.remove_directory(machine, found)
        machine.ledger.give(_MOUNT_POINT, parent)


machine_code(
    RETURN_ZERO,
    """
    int compat_only_sysfs_link_entry_to_kobj(struct kobject *kobj, struct kobject *target_kobj, const char *target_name, const char *symlink_name)
    void sysfs_notify(struct kobject *kobj, const char *dir, const char *attr)
    """,
)
machine_code(RETURN, "void kernfs_put(struct kernfs_node *kn)")
