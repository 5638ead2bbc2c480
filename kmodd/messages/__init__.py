# SPDX-License-Identifier: Apache-2.0
"""The messages of kmodd.v1 for a process that has no time to import protobuf.

codec      what a message is, and its bytes (protobuf's encoding)
as_json    a message as JSON has it
the rest   generated from proto/kmodd/v1 by proto/generate.py: the messages, the constants of
           the enums, and for each service a stub with a method for each call
"""
