# SPDX-License-Identifier: Apache-2.0
# Completion of kmodd for bash, which looks for a file of each program's name: kmodctl's has both.
. "${BASH_SOURCE[0]%/*}/kmodctl"
