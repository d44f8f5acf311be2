#!/bin/sh
# Run in a jail: sh -s LOWEST HIGHEST PUBLIC MOST HANDLER ADDRESS PORT SERVER PHP_CGI
# Puts real scripts into .cellblock in the PUBLIC directory of each account, requests them from the
# web server, removes them, and prints a line for each answer: NAME WHAT STATUS WHO-RAN-IT MAY-READ
# For at most MOST accounts, spread over all of them. Accounts whose directory SERVER cannot read are
# skipped: it serves nothing from them anyway. Each account writes its own home, so that no link
# there misleads root (-g and -G: chroot -u alone keeps root's groups); what root must write, it
# writes into its current directory.
set -eu
umask 022
lowest=$1 highest=$2 public=$3 most=$4 handler=$5 address=$6 port=$7 server=$8 php_cgi=$9
work=$(mktemp -d /var/tmp/cellblock.XXXXXX)
chmod 755 "$work"

clean() {
    while read -r name gid home; do
        # shellcheck disable=SC2016 # the account's own shell expands them
        chroot -u "$name" -g "$gid" -G "$gid" / sh -c 'cd "$1" && rm -rf .cellblock' sh "$home/$public" || :
    done <"$work/chosen"
    rm -rf "$work"
}
: >"$work/chosen"
trap clean 0

awk -F: -v lowest="$lowest" -v highest="$highest" -v most="$most" '
    $3 >= lowest && $3 <= highest { account[n++] = $1 " " $4 " " $6 }
    END {
        if (most > n) most = n
        for (i = 0; i < most; i++) print account[int(i * n / most)]
    }' /etc/passwd >"$work/all"
servers=$(id -g "$server")
while read -r name gid home; do
    if chroot -u "$server" -g "$servers" -G "$servers" / test -x "$home/$public"; then
        printf '%s %s %s\n' "$name" "$gid" "$home"
    fi
done <"$work/all" >"$work/chosen"

script() { # neighbour's private file : PHP that prints who runs it and whether it can read that file
    if [ "$handler" = suexec ]; then printf '#!%s\n' "$php_cgi"; fi
    cat <<PHP
<?php
\$file = tempnam('/tmp', 'cellblock');
echo "\ncellblock ", fileowner(\$file), ' ';
unlink(\$file);
echo @file_get_contents('$1') === false ? "closed\n" : "open\n";
PHP
}

: >"$work/asked"
neighbour=/etc/master.passwd
full=8 # so many accounts also get the scripts that must be refused
while read -r name gid home; do
    script "$neighbour" >"$work/who.php"
    cp "$work/who.php" "$work/root.php"
    cp "$work/who.php" "$work/foreign.php"
    chmod 755 "$work"/*.php
    # shellcheck disable=SC2016 # the account's own shell expands them
    chroot -u "$name" -g "$gid" -G "$gid" / sh -euc '
        cd "$1"; rm -rf .cellblock; mkdir .cellblock; cd .cellblock
        cp "$2/who.php" who.php; cp "$2/who.php" open.php; chmod 755 who.php; chmod 777 open.php
        umask 077; echo private >private' sh "$home/$public" "$work"
    asks="who"
    if [ "$full" -gt 0 ]; then
        full=$((full - 1))
        asks='who root foreign open'
        chown 65534:65534 "$work/foreign.php"
        # mv across file systems creates a new file and follows no link.
        (cd -P "$home/$public/.cellblock" && mv "$work/root.php" "$work/foreign.php" .)
    fi
    if [ "$handler" = suexec ]; then at="/~$name/.cellblock"; else at="/.cellblock/$name"; fi
    for what in $asks; do
        # Apache closes a connection after a status 500, so these go alone.
        if [ "$what" = who ]; then part=$work/asked; else part=$work/part.$name.$what; fi
        printf '%s %s %s\n' "$name" "$what" "$at/$what.php" >>"$part"
    done
    neighbour=$home/$public/.cellblock/private
done <"$work/chosen"

# Many requests per connection, since each nc costs more than a request; 50 is below the usual
# MaxKeepAliveRequests.
split -l 50 "$work/asked" "$work/part."
for part in "$work"/part.*; do
    [ -e "$part" ] || break
    awk -v host="$address" '
        { path[NR] = $3 }
        END {
            for (i = 1; i <= NR; i++)
                printf "GET %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", path[i], host, (i < NR ? "" : "Connection: close\r\n")
        }' "$part" >"$part.requests"
    nc -w 30 "$address" "$port" <"$part.requests" >"$part.answers" || :
    tr -d '\r' <"$part.answers" | awk '
        NR == FNR { asked[FNR] = $1 " " $2; most = FNR; next }
        /^HTTP\/1/ { n++; status[n] = $2 }
        /^cellblock / { by[n] = $2 " " $3 }
        END {
            for (i = 1; i <= most; i++)
                print asked[i], (i in status ? status[i] : "none"), (i in by ? by[i] : "- -")
        }' "$part" -
done
