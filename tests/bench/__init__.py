# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: each row is measured beside the real tool in the same run."""
