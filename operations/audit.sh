#!/bin/sh
# Finds files in users' homes that are open to others, or still use MySQL through localhost. POSIX sh,
# FreeBSD.
#   sh audit.sh look RANGE...     prints a line for each finding; RANGE is LOWEST:HIGHEST, of uids
#   sh audit.sh clean RANGE...    only an exit code: 1 while a script still says localhost
#   sh audit.sh fix RANGE...      removes the modes that look shows; saves the old ones in LISTS
#   sh audit.sh undo              restores the modes of the last fix, unless they were changed since
# One find for all homes, which follows no links; the content of a file is never printed.
set -eu
LISTS=/var/db/cellblock/audit
nl='
'

accounts() { # range... : NAME<tab>HOME of each account, with links in HOME resolved
    rows=$(for range in "$@"; do
        awk -F: -v OFS='\t' -v lowest="${range%:*}" -v highest="${range#*:}" \
            '$3 >= lowest && $3 <= highest && $6 != "/" { print $1, $6 }' /etc/passwd
    done | while IFS='	' read -r name home; do
        if [ -d "$home" ]; then printf '%s\t%s\n' "$name" "$home"; fi
    done)
    [ -n "$rows" ] || return 0
    export rows # one realpath for all of them, and no newline in an awk variable
    IFS=$nl
    # shellcheck disable=SC2046 # one home per line
    set -- $(printf '%s\n' "$rows" | cut -f 2)
    unset IFS
    realpath "$@" | awk '
        BEGIN { split(ENVIRON["rows"], row, "\n") }
        { print substr(row[NR], 1, index(row[NR], "\t")) $0 }'
}

search() { # homes... : one line per finding: open|setuid MODE PATH, localhost LINE PATH
    # A name with a newline could look like a second finding: print only its inode.
    # shellcheck disable=SC2016 # awk's own
    find -x "$@" \( -name "*$nl*" -exec stat -f 'odd %i -' {} + -prune \) -o ! -type l \
        \( -perm -0002 -exec stat -f 'open %p %N' {} + -o -true \) \
        \( -type f \( -perm -4000 -o -perm -2000 \) -exec stat -f 'setuid %p %N' {} + -o -true \) \
        -type f -size -2048 \
        \( -name '*.php' -o -name '*.inc' -o -name '*.pl' -o -name '*.pm' -o -name '*.cgi' \
        -o -name '*.rb' -o -name '*.py' -o -name '*.yml' -o -name '*.yaml' -o -name '*.ini' \
        -o -name '*.cnf' -o -name '.env' -o -name '.env.*' \) \
        -exec awk '
            function told(    i) {
                for (i = 1; mysql && i <= n; i++) print "localhost", at[i], file
                mysql = n = 0
            }
            FNR == 1 { told(); file = FILENAME }
            {
                line = tolower($0)
                if (line ~ /mysql|mariadb|db_host|database_url/) mysql = 1
            }
            line !~ /localhost|127[.]0[.]0[.]1/ { next }
            line ~ /^[ \t]*(#|\/\/|\/?\*|;|--)/ { next }
            {
                gsub(/localhost|127[.]0[.]0[.]1/, "", line)
                if (line ~ /mysql|mariadb/ || line ~ /host|server|dsn|database|connect|db/ &&
                    line !~ /smtp|imap|mail|redis|memcache|ldap|https?:|url/) at[++n] = FNR
            }
            END { told() }' {} + || : # users keep working: a file may be gone before it is read
}

homes() { # function range... : calls it with the homes as arguments
    what=$1
    shift
    set -- "$what" "$(accounts "$@" | cut -f 2 | sort -u)"
    [ -n "$2" ] || return 0
    IFS=$nl
    # shellcheck disable=SC2086 # one home per line
    set -- "$1" $2
    unset IFS
    "$@"
}

note_modes() { # homes... : INODE MODE PATH of what will be changed
    find -x "$@" ! -name "*$nl*" ! -type l \
        \( -perm -0002 -o -type f \( -perm -4000 -o -perm -2000 \) \) -exec stat -f '%i %p %N' {} +
}

mend() { # homes... : in the directory of each file, so that no link in the path is followed
    find -x "$@" ! -name "*$nl*" ! -type l ! -type f -perm -0002 -execdir chmod -h o-w {} +
    find -x "$@" ! -name "*$nl*" -type f \( -perm -0002 -o -perm -4000 -o -perm -2000 \) \
        -execdir chmod -h o-w,ug-s {} +
}

fix() { # range...
    (umask 077 && mkdir -p "$LISTS")
    list=$LISTS/$(date -u +%Y%m%dT%H%M%SZ).$$
    homes note_modes "$@" >"$list.new"
    if [ -s "$list.new" ]; then
        fsync "$list.new" && mv "$list.new" "$list.modes"
        homes mend "$@"
        sed -e 's/^[0-9]* \([0-9]*\) /mended \1 /' "$list.modes"
    else
        rm "$list.new"
    fi
}

undo() {
    last=
    for list in "$LISTS"/*.modes; do
        if [ -e "$list" ]; then last=$list; fi
    done
    if [ -z "$last" ]; then
        echo 'nothing to undo: no fix has mended anything' >&2
        exit 1
    fi
    while read -r inode mode path; do
        (put_back "$inode" "$mode" "$path")
    done <"$last"
    mv "$last" "${last%.modes}.undone"
}

put_back() { # inode mode path : only if it is the same file, with the mode that fix gave it
    mended=$((0$2 & ~02))
    case $2 in 10????) mended=$((mended & ~06000)) ;; esac
    # Enter the directory first, then check: a link can no longer get in between.
    if ! cd -P "${3%/*}" 2>/dev/null || [ "$(pwd -P)" != "${3%/*}" ]; then
        echo "left - $3"
        return
    fi
    case $(stat -f '%i %p' "./${3##*/}" 2>/dev/null) in
    "$1 $2") ;;
    "$1 $(printf %o "$mended")")
        chmod -h "$(printf %o $((0$2 & 07777)))" "./${3##*/}" && echo "restored $2 $3"
        ;;
    *) echo "left $2 $3" ;;
    esac
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
look)
    accounts "$@" | sed -e 's/^/account /'
    homes search "$@"
    ;;
clean)
    if [ -z "$(accounts "$@")" ]; then
        echo "no account has a uid in $*" >&2
        exit 1
    fi
    count=$(homes search "$@" | grep -c '^localhost ') || :
    if [ "$count" -ne 0 ]; then
        echo "$count lines of people's files still look for MySQL on localhost: see cellblock audit" >&2
        exit 1
    fi
    ;;
fix) fix "$@" ;;
undo) undo ;;
*)
    echo "usage: sh audit.sh look|clean|fix LOWEST:HIGHEST... | undo" >&2
    exit 64
    ;;
esac
