#!/bin/sh
# Run on the host or in a jail: sh -s files|processes MOST LOWEST:HIGHEST...
# At most MOST accounts, spread over all of these uids, try what belongs to their neighbour in that
# list; a line for each try: ACCOUNT NEIGHBOUR WHAT open|closed. What they try is open to everybody by
# its mode (777), in /var/tmp and in the neighbour's home. With the account itself as its neighbour,
# the line says whether it gets its own.
# Each account makes and removes its own files, so that no link in a home misleads root (-g and -G:
# chroot -u alone keeps root's groups).
set -eu
umask 022
what=$1 most=$2
shift 2
work=$(mktemp -d /var/tmp/cellblock.XXXXXX)
chmod 1777 "$work"

as() { # name gid command...
    who=$1 group=$2
    shift 2
    chroot -u "$who" -g "$group" -G "$group" / "$@"
}

clean() {
    while read -r pid; do kill "$pid" 2>/dev/null || :; done <"$work/pids"
    while read -r name gid _ home; do
        as "$name" "$gid" rm -rf "$home/.cellblock-mac" "$work/$name" 2>/dev/null || :
    done <"$work/chosen"
    rm -rf "$work"
}
: >"$work/pids"
: >"$work/chosen"
trap clean 0

for range in "$@"; do
    awk -F: -v lowest="${range%:*}" -v highest="${range#*:}" \
        '$3 >= lowest && $3 <= highest && !seen[$3]++ { print $1, $4, $3, $6 }' /etc/passwd
done | sort -u -k 3,3n | awk -v most="$most" '
    { row[n++] = $0 }
    END {
        if (most > n) most = n
        for (i = 0; i < most; i++) print row[int(i * n / most)]
    }' >"$work/chosen"

told() { # account neighbour what command... : as the account, whose gid is in $gid
    account=$1 neighbour=$2 tried=$3
    shift 3
    if as "$account" "$gid" "$@" >/dev/null 2>&1 </dev/null; then answer=open; else answer=closed; fi
    echo "$account $neighbour $tried $answer"
}

places() { # name home : the files that it made
    for file in "$work/$1/file" "$2/.cellblock-mac/file"; do
        if [ -e "$file" ]; then echo "$file"; fi
    done
}

tries() { # account neighbour files...
    account=$1 of=$2
    shift 2
    for file in "$@"; do
        told "$account" "$of" "read:$file" cat "$file"
        told "$account" "$of" "write:$file" tee -a "$file"
        told "$account" "$of" "list:${file%/*}" ls "${file%/*}"
    done
}

while read -r name gid _ home; do
    if [ "$what" = processes ]; then
        # No function here: $! would be the shell that runs it.
        chroot -u "$name" -g "$gid" -G "$gid" / sleep 60 >/dev/null 2>&1 </dev/null &
        echo $! >>"$work/pids"
        continue
    fi
    for place in "$work/$name" "$home/.cellblock-mac"; do
        # shellcheck disable=SC2016 # the account's own shell expands it
        as "$name" "$gid" sh -c 'umask 0; mkdir "$1" && echo mine >"$1/file" && chmod 777 "$1" "$1/file"' \
            sh "$place" 2>/dev/null || :
    done
done <"$work/chosen"

last=$(tail -n 1 "$work/chosen")
neighbour=${last%% *} neighbours_home=${last##* } n=0
neighbours_pid=$(tail -n 1 "$work/pids")
while read -r name gid _ home; do
    n=$((n + 1))
    if [ "$what" = processes ]; then
        pid=$(sed -n "${n}p" "$work/pids")
        told "$name" "$neighbour" "process" ps -o pid= -p "$neighbours_pid"
        told "$name" "$name" "process" ps -o pid= -p "$pid"
        neighbours_pid=$pid
    else
        # shellcheck disable=SC2046 # one word per file; passwd allows no space in a home
        tries "$name" "$neighbour" $(places "$neighbour" "$neighbours_home")
        # shellcheck disable=SC2046
        tries "$name" "$name" $(places "$name" "$home")
    fi
    neighbour=$name neighbours_home=$home
done <"$work/chosen"
