# SPDX-License-Identifier: Apache-2.0
"""The kernels that a namespace can stand on."""
