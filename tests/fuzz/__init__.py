# SPDX-License-Identifier: Apache-2.0
"""Fuzzers: what comes from outside is made up without end, and only the declared errors come of it.

Each fuzzer is a file with ``FUZZER``: what is done with an input, what inputs look like, and what
may come of one. ``python -m tests.fuzz NAME`` runs one under Atheris, which follows by the code
that is reached which inputs are worth changing further; ``corpus/NAME`` has those that it found
worth most. Whatever an input costs is bounded, too (``guard``).
"""
