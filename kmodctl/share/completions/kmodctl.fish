# SPDX-License-Identifier: Apache-2.0
# Completion of kmodctl and kmodd for fish: kmodctl knows what there is to offer.
function __kmodctl_complete
    set -l before (commandline -opc)
    set -l word (commandline -ct)
    for line in (kmodctl complete -- $before "$word" 2>/dev/null)
        switch $line
            case :files
                __fish_complete_path "$word"
            case :modules
                __fish_complete_path "$word" | string match -r '^.*(?:/|[.]ko(?:[.](?:gz|xz|zst))?)(?:\t.*)?$'
            case :directories
                __fish_complete_directories "$word" ''
            case :command
                complete -C "$word"
            case '?*'
                printf '%s\n' $line
        end
    end
end

complete -c kmodctl -f -a '(__kmodctl_complete)'
complete -c kmodd -f -a '(__kmodctl_complete)'
