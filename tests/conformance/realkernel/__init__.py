# SPDX-License-Identifier: Apache-2.0
"""What a real kernel did with every module, against what the emulated kernel does.

table    the recorded loads of a real kernel
replay   the same loads on the emulated kernel
compare  how far the two agree, and why they do not
coverage what a tree's modules call and nobody has modelled
"""
