# SPDX-License-Identifier: Apache-2.0
"""The front: a process without privileges that reads what those send who are no admins.

HTTP/2 and gRPC of strangers are parsed here and nowhere else. What comes of it goes on to the
daemon as frames (wire), which say which connection called what; who that connection is, and what
it may do, the daemon knows from the kernel.
"""
