# SPDX-License-Identifier: Apache-2.0
# Completion of kmodctl and kmodd for bash: kmodctl knows what there is to offer.
_kmodctl() {
    local word=${COMP_WORDS[COMP_CWORD]} line kind=
    COMPREPLY=()
    while IFS= read -r line; do
        case $line in
            :*) kind=$line ;;
            ?*) COMPREPLY+=("${line%%$'\t'*}") ;;
        esac
    done < <(kmodctl complete -- "${COMP_WORDS[@]:0:COMP_CWORD+1}" 2>/dev/null)
    case $kind in
        :files) _kmodctl_files -f ;;
        :modules)
            _kmodctl_files -f -X '!*.ko*'
            _kmodctl_files -d ;;
        :directories) _kmodctl_files -d ;;
        :command) mapfile -t COMPREPLY < <(compgen -c -- "$word") ;;
        "") _kmodctl_parted ;;
    esac
}

# Adds files and directories as compgen has them, with the options $@.
_kmodctl_files() {
    local -a found=()
    mapfile -t found < <(compgen "$@" -- "$word")
    COMPREPLY+=("${found[@]}")
    compopt -o filenames 2>/dev/null
}

# Takes from what is offered what is no part of the word for bash, which parts words at equals signs
# and colons. No blank is to follow what is not whole.
_kmodctl_parted() {
    local at=$COMP_CWORD whole=$word
    [[ ${#COMPREPLY[@]} != 1 || $COMPREPLY != *[=/] ]] || compopt -o nospace 2>/dev/null
    while [[ $at -gt 1 && ( ${COMP_WORDS[at]} == [=:] || ${COMP_WORDS[at-1]} == [=:] ) ]]; do
        whole=${COMP_WORDS[--at]}$whole
    done
    [[ $at == "$COMP_CWORD" ]] ||
        COMPREPLY=("${COMPREPLY[@]#"${whole%"${whole##*[=:]}"}"}")
}

complete -F _kmodctl kmodctl kmodd
