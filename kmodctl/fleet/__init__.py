# SPDX-License-Identifier: Apache-2.0
"""What ``kmodctl fleet`` consists of: wishes for many machines, which live in etcd.

    model       what is kept there: wishes, what nodes say of themselves, rollouts
    encoding    the same as bytes, and what is wrong with bytes
    store       what is asked of etcd
    etcd        who asks it, by connections (links) and watches (etcd_watch); etcd_failures has
                what goes wrong, and etcd_rpc.proto what there is to ask
    settings    where etcd is
    wish_file   a file of wishes with a selector
    survey      all that there is at one moment
    actions     what operators do
    rollout     how a rollout goes on, which any process of an operator's sees to (conducting)
    agent       a node's agent: what it knows of etcd (following, kept_wishes, contact), decides
                (deciding), has its daemon do (node_daemon), and says (telling, registration); the
                places that it takes in rollouts (places), and how long it waits (pausing)

Only that command imports anything from here.
"""
