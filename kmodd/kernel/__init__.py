# SPDX-License-Identifier: Apache-2.0
"""What is asked of a kernel (base), the kernels that answer, and how one is had (opening)."""
