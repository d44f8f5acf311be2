#!/bin/sh
# Run on the host: sh -s ADDRESS JAIL PORTS LOWEST HIGHEST MOST [NAME ROOT]...
# A port is NUMBER, or NUMBER/tls to be asked over TLS; certificates are not verified. With @ADDRESS behind
# it the host's web server is asked there.
# Asks the host's web server at ADDRESS, the jail's at JAIL, and the host's again, and prints a line
# for each question: PORT NAME PATH, then STATUS LENGTH HASH LOCATION of each of the three answers.
# Asked is / of every NAME, and at most MOST files of its directory ROOT and accounts' pages, spread
# over all of them. Of files only what Apache sends as it is: a script could change something.
# HTTP/1.0, since a server may cut an answer in HTTP/1.1 into chunks as it likes.
set -eu
address=$1 jail=$2 ports=$3 lowest=$4 highest=$5 most=$6
shift 6
work=$(mktemp -d /var/tmp/cellblock.XXXXXX)
trap 'rm -rf "$work"' 0

ask() { # file address : for the answer to the question of the loop below
    case $port in
    */tls) timeout 10 openssl s_client -quiet -connect "$2:${port%/tls}" -servername "$name" ;;
    *) nc -w 10 "$2" "$port" ;;
    esac <"$work/asked" >"$work/$1" 2>/dev/null || :
}
cr=$(printf '\r')
opening() { # file : prints status and location of its answer; no program is started for it
    status=none where=-
    while IFS=" $cr" read -r field value _; do
        case $field in
        HTTP/*) status=${value:-none} ;;
        [Ll][Oo][Cc][Aa][Tt][Ii][Oo][Nn]:) where=${value:--} ;;
        '') break ;;
        esac
    done <"$work/$1"
    printf '%s %s\n' "$status" "$where"
}

: >"$work/all"
: >"$work/sample"
first=${1:-$address}
while [ $# -gt 1 ]; do
    printf '%s /\n' "$1" >>"$work/all"
    find "${2:-/nonexistent}/" -maxdepth 1 -type f 2>/dev/null | sed 's,.*/,,' |
        grep -xE '[A-Za-z0-9._-]+[.](html|txt|css|png)' | sort | head -n 3 |
        sed "s,^,$1 /," >>"$work/sample" || :
    shift 2
done
awk -F: -v lowest="$lowest" -v highest="$highest" -v name="$first" '
    $3 >= lowest && $3 <= highest && $1 ~ /^[A-Za-z0-9._-]+$/ { print name " /~" $1 "/" }
    ' /etc/passwd >>"$work/sample"
awk -v most="$most" '
    { line[n++] = $0 }
    END { if (most > n) most = n; for (i = 0; i < most; i++) print line[int(i * n / most)] }
    ' "$work/sample" >>"$work/all"

for each in $ports; do
    port=${each%@*}
    case $each in *@*) here=${each#*@} ;; *) here=$address ;; esac
    while read -r name path; do
        printf 'GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n' "$path" "$name" >"$work/asked"
        ask 1 "$here"
        ask 2 "$jail"
        ask 3 "$here"
        { opening 1; opening 2; opening 3; } >"$work/heads"
        cd "$work"
        LC_ALL=C sed -i '' "1,/^$cr\\{0,1\\}\$/d" 1 2 3
        sha256 -q 1 2 3 >hashes
        wc -c 1 2 3 >lengths
        printf '%s %s %s' "$port" "$name" "$path"
        { read -r one _; read -r two _; read -r three _; } <lengths
        for length in "$one" "$two" "$three"; do
            read -r status where <&3
            read -r hash <&4
            printf ' %s %s %s %s' "$status" "$length" "$hash" "$where"
        done 3<heads 4<hashes
        echo
    done <"$work/all"
done
