# SPDX-License-Identifier: Apache-2.0
"""What ``kmodctl fleet`` consists of: wishes for many machines, which live in etcd.

    model       what is kept there: wishes, what nodes say of themselves, rollouts
    encoding    the same as bytes, and what is wrong with bytes
    store       what is asked of etcd

Only that command imports anything from here.
"""
