# SPDX-License-Identifier: Apache-2.0
"""What a kernel is before it has loaded a module: what its release and its build say."""
