# SPDX-License-Identifier: Apache-2.0
# Completion of kmodd for fish, which looks for a file of each program's name: kmodctl's has both.
source (path dirname (status filename))/kmodctl.fish
