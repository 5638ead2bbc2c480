# SPDX-License-Identifier: Apache-2.0
"""``kmodd setup``: puts kmodd on every road by which modules get into a machine's kernel, and takes
it away again.

``pieces`` are the files that it takes, ``changes`` what differs, ``options`` what may be chosen,
and ``command`` does it.
"""
