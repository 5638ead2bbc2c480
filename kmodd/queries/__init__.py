# SPDX-License-Identifier: Apache-2.0
"""What is asked of a module tree and changes nothing: names, modinfo, dependencies."""
