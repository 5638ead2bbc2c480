# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the caller and its role, the rules, and whose files count on a real kernel."""
