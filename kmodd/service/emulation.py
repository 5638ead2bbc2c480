# SPDX-License-Identifier: Apache-2.0
"""EmulationService: made-up devices, the files that modules have made, and checks."""

import threading
from collections.abc import Iterator
from functools import partial

import grpc

from kmodd.kernel.base import Device
from kmodd.namespace import Devices
from kmodd.namespace.checks import Checks
from kmodd.queries.messages import text
from kmodd.service.admission import Admission
from kmodd.service.checks import CheckCalls
from kmodd.service.failures import result_message
from kmodd.service.file_use import use_file
from kmodd.service.pages import page_of
from kmodd.service.uploads import Uploads
from kmodd.v1 import emulation_service_pb2 as pb

_USES = {
    "r": pb.FILE_USE_READ,
    "w": pb.FILE_USE_WRITE,
    "c": pb.FILE_USE_CONTROL,
    "p": pb.FILE_USE_POLL,
}
"""What stands for each letter of ``KernelFile.uses``."""


class EmulationService(CheckCalls):
    """Translates between the API and the devices of a namespace."""

    def __init__(
        self,
        devices: Devices,
        checks: Checks,
        uploads: Uploads,
        admission: Admission,
        stopping: threading.Event,
    ) -> None:
        """``stopping`` ends every check."""
        super().__init__(checks, uploads, stopping)
        self._devices = devices
        self._admission = admission

    def AddDevice(  # noqa: N802  # the API's name
        self, request: pb.AddDeviceRequest, _context: grpc.ServicerContext
    ) -> pb.AddDeviceResponse:
        """Plug in a device; answer with it, and what became of the load for it."""
        device, outcome = self._devices.add(request.modalias, self._admission.asked_by())
        return pb.AddDeviceResponse(
            device=_device_message(device),
            result=result_message(self._admission.view().shown(outcome)),
        )

    def ListDevices(  # noqa: N802
        self, request: pb.ListDevicesRequest, _context: grpc.ServicerContext
    ) -> pb.ListDevicesResponse:
        """Answer with one page of the devices."""
        devices = self._devices.all()
        version = f"{hash(devices):x}"
        page = page_of(devices, request.page_size, request.page_token, version=version)
        return pb.ListDevicesResponse(
            devices=map(_device_message, page.items), next_page_token=page.next_token
        )

    def RemoveDevice(  # noqa: N802
        self, request: pb.RemoveDeviceRequest, _context: grpc.ServicerContext
    ) -> pb.RemoveDeviceResponse:
        """Unplug a device."""
        self._devices.remove(request.name, self._admission.asked_by())
        return pb.RemoveDeviceResponse()

    def RaiseInterrupt(  # noqa: N802
        self, request: pb.RaiseInterruptRequest, _context: grpc.ServicerContext
    ) -> pb.RaiseInterruptResponse:
        """Raise an interrupt; answer with the modules that have it."""
        modules = self._devices.interrupt(request.number, self._admission.asked_by())
        return pb.RaiseInterruptResponse(modules=map(text, modules))

    def ListFiles(  # noqa: N802
        self, request: pb.ListFilesRequest, _context: grpc.ServicerContext
    ) -> pb.ListFilesResponse:
        """Answer with one page of a directory."""
        files = self._devices.files(request.path)
        version = f"{hash(files):x}"
        page = page_of(files, request.page_size, request.page_token, version=version)
        return pb.ListFilesResponse(
            files=(
                pb.KernelFile(
                    path=text(each.path),
                    is_directory=each.is_directory,
                    module=text(each.module),
                    mode=each.mode,
                    is_device=each.is_device,
                    uses=map(_USES.__getitem__, each.uses),
                )
                for each in page.items
            ),
            next_page_token=page.next_token,
        )

    def UseFile(  # noqa: N802
        self, requests: Iterator[pb.UseFileRequest], context: grpc.ServicerContext
    ) -> Iterator[pb.UseFileResponse]:
        """Have a file open for as long as the call is, and do with it what the client asks for."""
        opened = partial(self._devices.opened, call=self._admission.asked_by())
        yield from use_file(requests, context, opened)


def _device_message(device: Device) -> pb.Device:
    return pb.Device(
        name=text(device.name),
        bus=text(device.bus),
        modalias=text(device.modalias),
        driver=text(device.driver),
        driver_module=text(device.driver_module),
        probe_errno=device.probe_errno,
        owner=text(device.owner),
    )
