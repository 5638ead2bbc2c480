# SPDX-License-Identifier: Apache-2.0
"""The API kmodd.v1: messages and stubs, generated from proto/kmodd/v1 by proto/generate.py."""
