# SPDX-License-Identifier: Apache-2.0
"""What a machine is wished to have: wishes become findings and moves.

Everything here is pure, as a plan is. Texts, a database and a listing of loaded
modules go in, values come out; there is no I/O, no clock and no thread.

    condition    for which machines a wish is meant
    wish         one wish
    document     the text of one source into wishes, and what is wrong with it
    merging      the documents of all sources into one wish for each module
    reconciling  wishes and the state of things into what is as wished and what is to be done
"""
