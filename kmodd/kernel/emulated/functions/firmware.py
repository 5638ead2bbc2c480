# SPDX-License-Identifier: Apache-2.0
"""Firmware (drivers/base/firmware_loader): there is none, as on a machine without the files."""

import errno

from kmodd.kernel.emulated.abi.function_table import RETURN, alike, function, machine_code
from kmodd.kernel.emulated.functions.variadic import variadic_arguments
from kmodd.kernel.emulated.hardware.x86_64 import ARGUMENTS
from kmodd.kernel.emulated.machine.machine import Machine


def _request(machine: Machine, result: int, name: int, *_rest: int) -> int:
    if not result:
        return -errno.EINVAL
    machine.memory.put(result, 0)
    is_named = name and machine.memory.string(name, 1)
    return -errno.ENOENT if is_named else -errno.EINVAL


alike(
    _request,
    """
    int request_firmware(const struct firmware **firmware_p, const char *name, struct device *device)
    int firmware_request_nowarn(const struct firmware **firmware, const char *name, struct device *device)
    int firmware_request_platform(const struct firmware **firmware, const char *name, struct device *device)
    int request_firmware_direct(const struct firmware **firmware_p, const char *name, struct device *device)
    int request_firmware_into_buf(const struct firmware **firmware_p, const char *name, struct device *device, void *buf, size_t size)
    int request_partial_firmware_into_buf(const struct firmware **firmware_p, const char *name, struct device *device, void *buf, size_t size, size_t offset)
    """,
)


@function(
    "int request_firmware_nowait(struct module *module, bool uevent, const char *name,"
    " struct device *device, gfp_t gfp, void *context,"
    " void (*cont)(const struct firmware *fw, void *context))"
)
def request_firmware_nowait(
    machine: Machine, _module: int, _uevent: int, _name: int, _device: int, _gfp: int, context: int
) -> int:
    answer = next(variadic_arguments(machine, ARGUMENTS))

    def tell() -> None:
        machine.invoke(answer, 0, context)

    machine.deferred.add(tell)
    return 0


machine_code(
    RETURN,
    """
    void release_firmware(const struct firmware *fw)
    """,
)
