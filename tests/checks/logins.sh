#!/bin/sh
# Run on the host, and the same in a jail: sh -s LOWEST HIGHEST MOST SOCKET [USER DIRECTORY...]
# Logs in to MySQL as programs of the accounts do, with what their configuration files say, for at
# most MOST accounts, spread over all of them; and as pages in each DIRECTORY do, which run as USER.
# Prints a line for each file: FILE, user, host, and "ok" with the account of MySQL's that fits
# (CURRENT_USER), or the number of its error; separated by tabs.
# Each account reads its own files, and the password gets from there into an option file that only
# this account can read, and nowhere else.
set -eu
umask 022
lowest=$1 highest=$2 most=$3 socket=$4 user=${5:-}
shift $(($# > 4 ? 5 : 4))
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
export PATH
command -v mysql >/dev/null || exit 0

files='-maxdepth 4 -type f -size -128 ( -name wp-config.php -o -name .env -o -name .my.cnf
    -o -name configuration.php -o -name LocalSettings.php -o -name settings.php
    -o -name config.php -o -name config.inc.php )'

# The settings that end in user, password, host and port, as wp-config.php, .env, .my.cnf and others
# write them; those of other services are left out.
# shellcheck disable=SC2016 # awk's own
read_them='
    function value(s,    c, out, i, one) {
        sub(/^[ \t]+/, "", s)
        c = substr(s, 1, 1)
        if (c != "\"" && c != quote) { sub(/[ \t;,#].*$/, "", s); return s }
        for (i = 2; i <= length(s); i++) {
            one = substr(s, i, 1)
            if (one == c) return out
            if (one == "\\" && index("\\" c, substr(s, i + 1, 1))) one = substr(s, ++i, 1)
            out = out one
        }
        return out
    }
    function escaped(s,    out, i, one) {
        for (i = 1; i <= length(s); i++) {
            one = substr(s, i, 1)
            out = out (one == "\\" || one == "\"" ? "\\" : "") one
        }
        return "\"" out "\""
    }
    BEGIN { quote = sprintf("%c", 39); word = "[\"" quote "]?[A-Za-z_]+[\"" quote "]?[ \t]*(=>|=|,|:)" }
    /^[ \t]*(#|;|\/\/|\*|\/\*)/ { next }
    # mysql://USER:PASSWORD@HOST[:PORT]/..., as Roundcube and Symfony write it; none with %40 and the like.
    match($0, /mysqli?:\/\/[^:\/@ ]+:[^@\/ ]*@([A-Za-z0-9._-]+(:[0-9]+)?|unix\([^)]*\))/) {
        rest = substr($0, RSTART, RLENGTH)
        sub(/^[a-z]+:\/\//, "", rest)
        if (("user" in has) || index(rest, "%")) next
        has["user"] = substr(rest, 1, index(rest, ":") - 1)
        has["password"] = substr(rest, index(rest, ":") + 1, index(rest, "@") - index(rest, ":") - 1)
        sub(/^[^@]*@/, "", rest)
        if (sub(/^unix\(/, "", rest)) { sub(/\).*/, "", rest); has["socket"] = rest; rest = "localhost" }
        has["host"] = rest
        next
    }
    {
        rest = $0
        while (match(rest, word)) {
            key = tolower(substr(rest, RSTART, RLENGTH))
            rest = substr(rest, RSTART + RLENGTH)
            gsub(/[^a-z_]/, "", key)
            if (key ~ /mail|smtp|imap|redis|ftp|ldap|proxy|cache|admin|session/) continue
            if (key ~ /user(name)?$/) key = "user"
            else if (key ~ /(password|passwd|pass|pwd)$/) key = "password"
            else if (key ~ /(host|hostname|server)$/) key = "host"
            else if (key ~ /port$/) key = "port"
            else continue
            if (!(key in has)) has[key] = value(rest)
        }
    }
    END {
        if (has["host"] == "") has["host"] = "localhost"
        if (has["user"] == "" || !("password" in has) || has["host"] !~ /^[A-Za-z0-9._:\/-]+$/) exit
        n = split(has["host"], at, ":")
        if (n > 1) has[at[2] ~ /^\// ? "socket" : "port"] = at[2]
        if (!("socket" in has)) has["socket"] = socket
        print "[client]"
        print "user=" escaped(has["user"])
        print "password=" escaped(has["password"])
        print "host=" at[1]
        print "socket=" has["socket"]
        if (has["port"] ~ /^[0-9]+$/) print "port=" has["port"]
        print "connect-timeout=5"
    }'

# shellcheck disable=SC2016 # the account's own shell expands them
log_in='
    umask 077
    cd "$1" 2>/dev/null || exit 0
    work=$(mktemp -d /tmp/cellblock.XXXXXX) || exit 0
    trap "rm -rf $work" 0
    find -x . $4 2>/dev/null | sort | head -n "$5" | while read -r file; do
        awk -v socket="$2" "$3" "$file" >"$work/cnf" 2>/dev/null || continue
        [ -s "$work/cnf" ] || continue
        said=$(mysql --defaults-file="$work/cnf" -N -B -e "SELECT CURRENT_USER()" 2>"$work/error" </dev/null) &&
            said="ok\t$said" || said=$(sed -n "s/^.*ERROR \([0-9]*\).*/\1/p" "$work/error" | head -n 1)
        sed -nE "s/^(user|host)=\"?([^\"]*)\"?$/\2/p" "$work/cnf" | tr "\n" "\t" |
            awk -v file="$1/${file#./}" -v said="${said:-unknown}" "{print file \"\t\" \$0 said}"
    done'

for each; do
    gid=$(id -g "$user") || break
    chroot -u "$user" -g "$gid" -G "$gid" / sh -c "$log_in" sh "$each" "$socket" "$read_them" "$files" 20 </dev/null || :
done
accounts=$(awk -F: -v lowest="$lowest" -v highest="$highest" -v most="$most" '
    $3 >= lowest && $3 <= highest { account[n++] = $1 " " $4 " " $6 }
    END {
        if (most > n) most = n
        for (i = 0; i < most; i++) print account[int(i * n / most)]
    }' /etc/passwd)
set --
while read -r name gid home; do set -- "$@" "$home"; done <<END
$accounts
END
# shellcheck disable=SC2086 # find's words
has=$(find -x "$@" $files -print 2>/dev/null || :)
echo "$accounts" | while read -r name gid home; do
    case $has in *"$home/"*) ;; *) continue ;; esac
    chroot -u "$name" -g "$gid" -G "$gid" / sh -c "$log_in" sh "$home" "$socket" "$read_them" "$files" 3 </dev/null || :
done
