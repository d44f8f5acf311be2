# The reading part of host.sh. Nothing here changes the host, or a step's state.
# journal.py uploads both as one file, this one in place of the line that sources it.
# shellcheck shell=sh disable=SC2154 # host.sh sets $journal and $state

uptime_now() { # prints the seconds since the host started, which nobody can set
    # Not date(1): a clock that is set by an hour would move every deadline by an hour. ps(1) subtracts
    # the start of process 1 from the clock, and the kernel moves both when the clock is set.
    ps -o etimes= -p 1
}

until_deadline() { # step : sets $left, the seconds until its deadline, or 0
    read -r deadline <"steps/$1/deadline"
    read -r within <"steps/$1/confirm_within"
    now=$(uptime_now)
    left=$((deadline - now))
    # More than the step had: the host has restarted since, and nothing undid the step at boot.
    if [ "$left" -lt 0 ] || [ "$left" -gt "$within" ]; then left=0; fi
}

in_turn() { # command... : runs it while no other command runs in turn
    lockf -k -s -t 30 lock.turn "$@"
}

owner_lives() { # [in_turn] : is the lock's owner alive? lockf(1) holds lock.PID as long as its shell lives
    # In turn with others who ask, since each takes it for a moment.
    read -r owner _ <lock || return 1
    "$@" lockf -k -n -s -t 0 "lock.$owner" true
    [ $? -eq 75 ] # EX_TEMPFAIL: it is held
}

trees() { # where the jails' trees are, as it was uploaded: [base] jails of the site file
    while read -r kind what; do
        if [ "$kind" = jails ]; then printf '%s\n' "$what"; fi
    done <watch
}

homes() { # directory : the jails' own directories in it that are file systems of their own
    mount -p | awk -v at="$1/" 'index($2, at) == 1 && substr($2, length(at) + 1) !~ "/" { print $2 }'
}

full() { # says which file systems are full, and what the jails hold on them; fails if none is
    filled=$({
        printf '%s\n' "$journal" /etc
        trees
        sed -n 's/^path //p' watch
    } | while read -r place; do [ ! -e "$place" ] || df -k "$place" | tail -n 1; done |
        awk '$4 < 1024 { print $6 " (" $1 ") is full" }' | sort -u)
    [ -n "$filled" ] || return 1
    printf '%s\n' "$filled"
    jails=$(trees)
    for jail in "$jails"/*; do
        [ -d "$jail" ] || continue
        {
            homes "$jails" | grep -qxF "$jail" || echo "$jail" # its own file system is none of the host's
            mount -p | awk -v at="$jail/root/" '$3 == "nullfs" && $4 ~ /^rw/ && index($2, at) == 1 { print $1 }'
        } | while read -r place; do
            timeout 20 du -skx "$place" 2>/dev/null
        done | sort -rn | head -n 3 | awk -v jail="${jail##*/}" '{ size = int($1 / 1024); $1 = ""
            print "jail " jail ": " size " MiB in" $0 }'
    done
    echo 'to make room, stop the jail (service jail onestop NAME) and remove what fills it'
}

as_words() { # the same in one line, to go on with; nothing if no file system is full
    full | while read -r line; do printf '; %s' "$line"; done
}

fingerprint() { # prints the host's state as sorted lines, one fact per line
    nl='
'
    jails=$(trees)
    # Files that others edit too are printed line by line, and lists in rc.conf word by word, to tell
    # others' changes from ours.
    set --
    for file in /etc/rc.conf /etc/rc.conf.local /boot/loader.conf /etc/hosts /etc/resolv.conf; do
        if [ -f "$file" ]; then set -- "$@" "$file"; fi
    done
    {
        for module in ipfw mac_bsdextended mac_seeotheruids; do
            if kldstat -q -m "$module"; then echo "module $module"; fi
        done
        set --
        while read -r kind what; do
            case $kind in
            service) echo "= service $what" && service "$what" onestatus 2>/dev/null ;;
            path) set -- "$@" "$what" ;;
            esac
        done <watch
        echo '= path'
        if [ $# -gt 0 ]; then stat -f 'path %N %HT %Lp %Su:%Sg %Y' "$@" 2>/dev/null; fi
        echo '= hash'
        set -- /etc /usr/local/etc
        # A jail's directory may be a file system of its own, and its disk a file beside them.
        # shellcheck disable=SC2046 # one word each
        if [ -d "$jails" ]; then set -- "$@" "$jails" $(homes "$jails"); fi
        # Of the jails not what a jail writes: its root could keep it from ever being as before. Data of
        # a jail may be below the other two: a name with a newline in it would be facts of its own.
        find -x "$@" \( -path "$jails/*/root/*" -o -path "$jails/*/local-etc/*" \
            -o -path "$jails/*/log/*" -o -path "$jails/.disks/*" \) -prune -o \
            \( -path "$jails" -o -path "$jails/*" \) -exec stat -f 'path %N %HT %Lp %Su:%Sg' {} + -o \
            ! -path "*$nl*" ! -name 'rc.conf' ! -name 'rc.conf.local' \
            ! -name '.*.cellblock' -exec stat -f 'path %N %HT %Lp %Su:%Sg %Y' {} + \
            -type f ! -path /etc/hosts ! -path /etc/resolv.conf -exec sha256 -r {} +
        echo '= address' && ifconfig -a
        echo '= mount' && mount -p
        echo '= rule' && ipfw -S list 2>/dev/null
        echo '= nat' && ipfw nat show config 2>/dev/null
        echo '= sets' && ipfw set show 2>/dev/null
        echo '= limit' && rctl 2>/dev/null
        echo '= access' && ugidfw list 2>/dev/null
        echo '= jail' && jls name path ip4.addr
    } | awk '
        FILENAME != "-" {
            if ($0 !~ /^(cloned_interfaces|jail_list)="[^"]/) { print "line", FILENAME, $0; next }
            n = split($0, part, "\"")
            name = substr($0, 1, index($0, "=") - 1)
            words = split(part[2], word, " ")
            for (i = 1; i <= words; i++) print "line", FILENAME, name, word[i]
            if (part[3] != "") print "line", FILENAME, name part[3]
            next
        }
        $1 == "=" { kind = $2; what = $3; said = 0; head = kind == "access"; next }
        head { head = 0; next } # how many rules ugidfw has
        kind == "service" { # not by its exit code: that is 1 for sendmail without a queue runner
            if (said || $0 !~ / running/ || /^sendmail_msp_queue/) next
            said = 1 # of several daemons the first counts, and the queue runner never
            if (/ is running/) print "service", what, "runs"
            next
        }
        kind == "" || $1 == "path" { print; next }
        kind == "sets" {
            for (i = 1; i <= NF && $i != "enable"; i++) if (i > 1) print "set", $i, "disabled"
            next
        }
        kind == "mount" { # units of md(4) are counted anew after a restart
            sub(/^\/dev\/md[0-9]+$/, "/dev/md", $1)
            $0 = $1 " " $2 " " $3 " " $4
        }
        kind != "address" { print kind, $0; next }
        /^[^[:space:]]/ { name = $1 }
        $1 ~ /^inet6?$/ { print "address", name, $2 }
        $1 ~ /^options=/ {
            n = split($1, option, /[<,>]/)
            for (i = 2; i < n; i++) print "option", name, option[i]
        }' "$@" - | sort -u
}

mentioned() { # step : the places in /etc and /usr/local/etc that it names, one per line; trees end with /
    cat steps/"$1"/do/*.sh steps/"$1"/undo/*.sh steps/"$1"/keep/* steps/"$1"/owns 2>/dev/null |
        tr -c 'A-Za-z0-9/._+@%:-' '\n' | grep -e '^/etc/.' -e '^/usr/local/etc/.' | sort -u
}

written_meanwhile() { # step : what others wrote while it ran or was undone
    # A daemon's own journal or a renewed certificate lies in the same trees, and whoever broke into a
    # jail writes in all that the jail mounts writable, and can turn the mode of its data without end.
    # Such a file is neither expected to be as before nor counted as a difference; the log names it.
    # That the data itself is there, as the directory that it was, is no jail's to change.
    dir=steps/$1
    mentioned "$1" >"$dir/print.mentioned"
    cat "$dir/print.before" "$dir/print.applied" "$dir/print.rollback" "$dir/print.after" 2>/dev/null |
        awk -v jails="$(trees)" '$1 == "mount" && $4 == "nullfs" && $5 ~ /^rw/ && index($3, jails "/") == 1 {
            print $2 }' | sort -u >"$dir/print.shared"
    comm -3 "$dir/print.expected" "$dir/print.after" | awk -v base=/etc -v ports=/usr/local/etc '
        FILENAME ~ /mentioned$/ { named[$0]; if (/\/$/) trees[$0]; next }
        FILENAME ~ /shared$/ { shared[$0]; next }
        FILENAME != "-" {
            if ($1 == "path" && $2 in shared) is[$2, FILENAME ~ /after$/] = $3
            next
        }
        {
            place = $1 == "hash" ? $3 : $1 == "path" ? $2 : ""
            sub(/^\t/, "")
            for (tree in shared) if (index(place, tree "/") == 1) { print; next }
            if (is[place, 0] != "" && is[place, 0] == is[place, 1]) { print; next }
            if (index(place, base "/") != 1 && index(place, ports "/") != 1 || place in named) next
            for (tree in trees) if (index(place, tree) == 1) next
            print
        }' "$dir/print.mentioned" "$dir/print.shared" "$dir/print.expected" "$dir/print.after" - |
        sort -u >"$dir/print.meanwhile"
    [ -s "$dir/print.meanwhile" ] || return 0
    for print in expected after; do
        comm -23 "$dir/print.$print" "$dir/print.meanwhile" >"$dir/print.new"
        mv "$dir/print.new" "$dir/print.$print"
    done
    awk '{ print $1 == "hash" ? $3 : $2 }' "$dir/print.meanwhile" | sort -u | while read -r place; do
        say "$place: written by others while the step ran or was undone; kept"
    done
}

ended_meanwhile() { # step : jails that run no more while it is undone, with their mounts and limits
    # The undo stops a jail that does not do as it is told, and a jail ends by itself when its last
    # process does. Whether a jail that stays runs is for the checks.
    dir=steps/$1
    awk -v jails="$(trees)/" '
        FILENAME ~ /after$/ { after[$0]; if ($1 == "jail") runs[$2]; next }
        { lines[++n] = $0; if ($1 == "jail" && !($2 in runs) && index($3, jails) == 1) ended[$2] }
        END {
            for (i = 1; i <= n; i++) {
                split(lines[i], word, " ")
                name = word[1] == "mount" && index(word[3], jails) == 1 ? substr(word[3], length(jails) + 1) : word[2]
                sub(/\/.*/, "", name)
                if (word[1] == "limit") { sub(/^jail:/, "", name); sub(/:.*/, "", name) }
                if (word[1] ~ /^(jail|mount|limit)$/ && name in ended && !(lines[i] in after)) print lines[i]
            }
        }' "$dir/print.after" "$dir/print.expected" | sort -u >"$dir/print.ended"
    [ -s "$dir/print.ended" ] || return 0
    comm -23 "$dir/print.expected" "$dir/print.ended" >"$dir/print.new"
    mv "$dir/print.new" "$dir/print.expected"
    sed -n 's/^jail \([^ ]*\) .*/\1/p' "$dir/print.ended" | while read -r name; do
        say "notice: jail $name does not run any more; to start it: service jail onestart $name"
    done
}

as_before() { # step : is the host as before the step, apart from what others changed since?
    dir=steps/$1
    if [ ! -e "$dir/print.before" ]; then return; fi # the run ended before its first command
    fingerprint >"$dir/print.after"
    if cmp -s "$dir/print.before" "$dir/print.after" &&
        { [ ! -e "$dir/print.applied" ] || cmp -s "$dir/print.applied" "$dir/print.rollback"; }; then
        : >"$dir/differences"
        return
    fi
    if [ -e "$dir/print.applied" ]; then
        [ -e "$dir/print.forgotten" ] || : >"$dir/print.forgotten" # see rollout/engine/drift.py
        comm -13 "$dir/print.applied" "$dir/print.rollback" |
            comm -23 - "$dir/print.forgotten" >"$dir/print.others+"
        comm -23 "$dir/print.applied" "$dir/print.rollback" >"$dir/print.others-"
    else
        : >"$dir/print.others+"
        : >"$dir/print.others-"
    fi
    comm -23 "$dir/print.before" "$dir/print.others-" |
        sort -u - "$dir/print.others+" >"$dir/print.expected"
    written_meanwhile "$1"
    ended_meanwhile "$1"
    # What others added on top of something of ours stays, and so does that.
    : >"$dir/print.stays"
    awk -v stays="$dir/print.stays" '
        FILENAME ~ /others[+]$/ {
            if ($1 == "path") while (sub("/[^/]*$", "", $2)) under[$2]
            if ($1 == "address") on[$2]
            if ($1 == "rule" || $1 == "nat") ipfw = 1
            next
        }
        FILENAME ~ /expected$/ { expected[$0]; next }
        $0 in expected { print; next }
        $1 == "path" && $3 == "Directory" && $2 in under ||
            ($1 == "option" || $1 == "address" && $3 ~ /^fe80:/) && $2 in on ||
            $1 == "line" && $3 == "cloned_interfaces" && $4 ":" in on ||
            ipfw && ($1 == "module" || $1 == "rule" && $2 == 65535) { print >stays; next }
        { print }' "$dir/print.others+" "$dir/print.expected" "$dir/print.after" |
        diff "$dir/print.expected" - >"$dir/differences" || return 1
    if [ -s "$dir/print.stays" ]; then
        while read -r line; do say "stays, for others use it: $line"; done <"$dir/print.stays"
    fi
}

nap() { # longer while nothing is logged: it runs beside the step, and each sleep is a process
    echo || exit 1 # if the connection is gone, this fails: the shell ends, and its lock becomes stale
    naps=$((naps + 1))
    if [ "$naps" -le 3 ]; then sleep 0.1; elif [ "$naps" -le 13 ]; then sleep 0.2; else sleep 0.5; fi
}

follow() { # step : prints its log as it grows, until the step rests; the last line is its state
    # By builtins, except for the naps.
    shown=0
    naps=0
    if [ -e "steps/$1/told" ]; then read -r shown <"steps/$1/told"; fi
    until [ -e "steps/$1/log" ]; do
        if [ "$naps" -ge 120 ]; then echo "state $(state_of "$1")" && return; fi
        nap
    done
    exec 3<"steps/$1/log"
    last=
    part=
    late=0
    naps=0
    while :; do
        look "$1"
        while IFS= read -r line <&3; do
            if [ "$shown" -gt 0 ]; then
                shown=$((shown - 1))
            else
                printf '%s\n' "$part$line"
            fi
            last=$part$line
            part=
            naps=0
        done
        part=$part$line # a line without its newline yet
        case $state in
        prepared)
            if [ "$naps" -ge 120 ]; then echo "state $state" && return; fi
            ;;
        applied | confirmed | undone | stuck)
            # The state changes first; its line in the log comes a moment later.
            case $last in
            *": $state") ;;
            *)
                late=$((late + 1))
                naps=0
                if [ "$late" -lt 100 ]; then nap && continue; fi
                ;;
            esac
            for file in reason stuck differences; do
                if [ -s "steps/$1/$file" ]; then sed -e "s/^/$file /" "steps/$1/$file"; fi
            done
            echo "state $state"
            return
            ;;
        esac
        nap
    done
}

status() { # [step] : of that step alone, without the plan and the lock; by builtins, since it runs after every step
    only=${1:-}
    if [ -z "$only" ] && [ -e plan ]; then cat plan; fi
    for step in steps/*; do
        [ -d "$step" ] || continue
        step=${step##*/}
        [ "$step" = "${only:-$step}" ] || continue
        look "$step"
        hash=
        read -r hash <"steps/$step/hash"
        echo "state $step $state $hash"
        for file in reason stuck token said hand; do
            [ -s "steps/$step/$file" ] || continue
            while IFS= read -r line; do printf '%s\n' "$file $step $line"; done <"steps/$step/$file"
        done
        if [ "$state" = applied ]; then until_deadline "$step" && echo "left $step $left"; fi
    done
    if [ -z "$only" ] && [ -e lock ]; then
        read -r line <lock
        if owner_lives in_turn; then echo "locked $line"; else echo "abandoned $line"; fi
    fi
}
