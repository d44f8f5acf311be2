#!/bin/sh
# Finds what accounts use of each other's, which they cannot once `mac` keeps them apart. POSIX sh,
# FreeBSD.
#   sh sharing.sh RANGE...     RANGE is LOWEST:HIGHEST, of uids
# A line for each: ACCOUNT<tab>PATH or PATH:LINE<tab>why. In homes and crontabs, and in what processes
# of accounts have open now; what they open now and then is found only where a file names it. No link
# is followed, and the content of a file is never printed.
set -eu
nl='
'

accounts() { # range... : NAME<tab>UID<tab>HOME<tab>HOME with links resolved
    rows=$(for range in "$@"; do
        awk -F: -v OFS='\t' -v lowest="${range%:*}" -v highest="${range#*:}" \
            '$3 >= lowest && $3 <= highest && $6 != "/" && !seen[$3]++ { print $1, $3, $6 }' /etc/passwd
    done | sort -u | while IFS='	' read -r name uid home; do
        if [ -d "$home" ]; then printf '%s\t%s\t%s\n' "$name" "$uid" "$home"; fi
    done)
    [ -n "$rows" ] || return 0
    export rows # one realpath for all of them, and no newline in an awk variable
    IFS=$nl
    # shellcheck disable=SC2046 # one home per line
    set -- $(printf '%s\n' "$rows" | cut -f 3)
    unset IFS
    realpath "$@" | awk '
        BEGIN { split(ENVIRON["rows"], row, "\n") }
        { print row[NR] "\t" $0 }'
}

known=$(accounts "$@")
home=$(realpath /home 2>/dev/null) || home=/home # a link to usr/home on many servers
export known home
if [ -z "$known" ]; then exit 0; fi
IFS=$nl
# shellcheck disable=SC2046 # one home per line
set -- $(printf '%s\n' "$known" | cut -f 4 | sort -u)
unset IFS

# Functions for all of the awk programs: whose a uid is, and whose home a path is in.
whose='
    function learn(    row, part, i, n) {
        n = split(ENVIRON["known"], row, "\n")
        for (i = 1; i <= n; i++) {
            split(row[i], part, "\t")
            of[part[2]] = part[1]
            lives(part[3], part[1]); lives(part[4], part[1])
            if (index(part[4], ENVIRON["home"] "/") == 1)
                lives("/home" substr(part[4], length(ENVIRON["home"]) + 1), part[1])
        }
    }
    function lives(path, account) { at[path] = account; above[parent(path)] }
    function parent(path) { sub(/\/[^\/]*$/, "", path); return path }
    function home(path) {
        while (path != "" && !(path in at)) path = parent(path)
        return path == "" ? "" : at[path]
    }
    function plain(path,    part, kept, i, n, m) {
        n = split(path, part, "\/")
        for (i = 2; i <= n; i++) {
            if (part[i] == "..") { if (m) m-- }
            else if (part[i] != "" && part[i] != ".") kept[++m] = part[i]
        }
        path = ""
        for (i = 1; i <= m; i++) path = path "/" kept[i]
        return path
    }
    function told(account, place, why) { print account "\t" place "\t" why }'

belonging() { # files of one account in the home of another
    find -x "$@" ! -name "*$nl*" -exec stat -f '%u %N' {} + | awk "$whose"'
        BEGIN { learn() }
        $1 in of {
            path = substr($0, index($0, " ") + 1); mine = home(path)
            if (mine != "" && of[$1] != mine) told(mine, path, "belongs to " of[$1])
        }'
}

leading() { # links from the home of one account into that of another
    find -x "$@" ! -name "*$nl*" -type l -exec stat -f '%N%t%Y' {} + | awk -F '\t' "$whose"'
        BEGIN { learn() }
        {
            to = plain($2 ~ /^\// ? $2 : parent($1) "/" $2); mine = home($1); theirs = home(to)
            if (mine != "" && theirs != "" && mine != theirs) told(mine, $1, "leads to the home of " theirs)
        }'
}

# What a file says is looked at by line; the account is that of the home, or the name of the crontab.
# shellcheck disable=SC2016 # awk's own
naming="$whose"'
    function look(line, account,    path, other) {
        while (match(line, /\/[A-Za-z0-9._\/-]+/)) {
            path = plain(substr(line, RSTART, RLENGTH)); line = substr(line, RSTART + RLENGTH)
            other = home(path)
            if (other != "" && other != account) {
                told(account, FILENAME ":" FNR, "names the home of " other)
                return
            }
        }
    }
    BEGIN { learn() }
    FNR == 1 { account = home(FILENAME); if (account == "") { account = FILENAME; sub(/.*\//, "", account) } }
    /^[ \t]*#/ || (!tab && /^[ \t]*(\/\/|\/?\*|;|--)/) { next }
    {
        for (each in above)
            if (each != "" && index($0, each "/")) { look($0, account); break }
    }'

saying() { # scripts and settings in the home of one account that name that of another
    find -x "$@" ! -name "*$nl*" -type f -size -2048 \
        \( -name '*.php' -o -name '*.inc' -o -name '*.pl' -o -name '*.pm' -o -name '*.cgi' \
        -o -name '*.rb' -o -name '*.py' -o -name '*.sh' -o -name '*.yml' -o -name '*.yaml' \
        -o -name '*.ini' -o -name '.env' -o -name '.env.*' -o -name '.htaccess' \
        -o -name '.user.ini' -o -name '.forward' -o -name '.procmailrc' -o -name '.mailfilter' \) \
        -exec awk "$naming" {} + || : # users keep working: a file may be gone before it is read
    for tab in /var/cron/tabs/*; do
        if [ -f "$tab" ] && printf '%s\n' "$known" | cut -f 1 | grep -qxF -- "${tab##*/}"; then
            awk -v tab=1 "$naming" "$tab" # whose lines may begin with an asterisk
        fi
    done
}

opened() { # what processes of one account have open now of another
    uids=$(printf '%s\n' "$known" | cut -f 2)
    export uids
    running=$(ps -ax -o uid= -o pid= | awk '
        BEGIN { n = split(ENVIRON["uids"], uid, "\n"); for (i = 1; i <= n; i++) is[uid[i]] }
        $1 in is { print $2, $1 }')
    [ -n "$running" ] || return 0
    export running
    # shellcheck disable=SC2046 # one word per process
    rows=$(procstat -f $(printf '%s\n' "$running" | cut -d ' ' -f 1) 2>/dev/null |
        awk '$4 == "v" && $10 ~ /^\// { path = $10; for (i = 11; i <= NF; i++) path = path " " $i; print $1 "\t" path }')
    [ -n "$rows" ] || return 0
    printf '%s\n' "$rows" | cut -f 2 | sort -u | while IFS= read -r path; do
        stat -f '%u %N' "$path" 2>/dev/null || :
    done | rows=$rows awk "$whose"'
        BEGIN {
            learn()
            n = split(ENVIRON["running"], row, "\n")
            for (i = 1; i <= n; i++) { split(row[i], part, " "); user[part[1]] = part[2] }
            n = split(ENVIRON["rows"], row, "\n")
        }
        { owner[substr($0, index($0, " ") + 1)] = $1 }
        END {
            for (i = 1; i <= n; i++) {
                split(row[i], part, "\t"); uid = user[part[1]]; its = owner[part[2]]
                if (its in of && its != uid && !(seen[uid, part[2]]++))
                    told(of[uid], part[2], "is open now, and belongs to " of[its])
            }
        }'
}

belonging "$@"
leading "$@"
saying "$@"
opened
