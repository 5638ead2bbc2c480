# SPDX-License-Identifier: Apache-2.0
"""What is done for one call, in the process and with the rights of its caller: no daemon."""
