# SPDX-License-Identifier: Apache-2.0
"""The gRPC services: each one translates a message, delegates, and translates the answer."""
