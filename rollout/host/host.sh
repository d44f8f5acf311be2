#!/bin/sh
# Cellblock's part on the host: it runs and undoes steps, and records both. It needs POSIX sh and
# FreeBSD's base system only. It is stored in the journal, /var/db/cellblock (docs/architecture.md),
# in one file with looking.sh. Without the operator's machine,
#   sh /var/db/cellblock/host.sh undo
# undoes all steps.

set -u
umask 077
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
LC_ALL=C # ps and sort must print the same at every login
export PATH LC_ALL
case $0 in */*) cd "${0%/*}" || exit 1 ;; esac
cd -P . || exit 1
journal=$PWD

say() { # words... : logs them, for the journal and for the current step
    line="$(date -u '+%Y-%m-%dT%H:%M:%SZ') $*"
    printf '%s\n' "$line" >>log
    if [ -n "${dir:-}" ]; then printf '%s\n' "$line" >>"$dir/log"; fi
}

look() { # step : sets $state from the name of its state file, without a process
    for state in "$journal/steps/$1"/state.*; do :; done
    state=${state##*/state.}
}

state_of() { # step : prints its state
    look "$1"
    printf '%s\n' "$state"
}

move() { # step from to : the only way to change a state; if two try at once, one fails
    mv "steps/$1/state.$2" "steps/$1/state.$3" 2>/dev/null || return 1
    fsync "steps/$1"
    dir=steps/$1
    say "$1: $3"
}

note() { # step words : adds a line to its progress, and syncs it before anything else happens
    printf '%s\n' "$2" >>"steps/$1/progress" && fsync "steps/$1/progress"
}

descent() { # pid : prints it and all its descendants
    ps -ax -o pid= -o ppid= | awk -v root="$1" '
        function walk(p,    i, n, kid) {
            n = split(kids[p], kid, " ")
            for (i = 1; i <= n; i++) walk(kid[i])
            print p
        }
        { kids[$2] = kids[$2] " " $1 }
        END { walk(root) }'
}

kill_tree() { # pid : kills it and all its descendants, even those forked meanwhile
    stopped='' tree=$1
    # shellcheck disable=SC2086 # one word per pid
    while [ "$tree" != "$stopped" ]; do
        stopped=$tree
        kill -STOP $stopped 2>/dev/null # a stopped process cannot fork
        tree=$(descent "$1")
    done
    # shellcheck disable=SC2086
    kill -KILL $tree 2>/dev/null
}

limited() { # seconds command... : runs it, and kills it and its descendants after that time; its exit code
    # Not timeout(1): without --foreground it would kill daemons that an rc script started. With it,
    # grandchildren would keep running while the step is being undone.
    seconds=$1
    shift
    "$@" &
    child=$!
    echo "$child" >"$dir/child"
    (
        sleep "$seconds" &
        nap=$!
        trap 'kill $nap; exit' TERM
        wait "$nap"
        # If this run was killed meanwhile, another process may have the pid by now.
        [ "$(ps -o ppid= -p "$child")" -eq $$ ] 2>/dev/null || exit
        echo "took longer than $seconds s: killed"
        kill_tree "$child"
    ) &
    watch=$!
    wait "$child"
    code=$?
    kill "$watch" 2>/dev/null
    return "$code"
}

stop_orphan() { # step : kills the command of a killed run, which must not run during the undo
    if [ ! -s "steps/$1/child" ]; then return; fi
    read -r orphan <"steps/$1/child"
    case $(ps -o args= -p "$orphan" 2>/dev/null) in
    *"/steps/$1/"*) kill_tree "$orphan" ;;
    esac
}

# shellcheck source=rollout/host/looking.sh
. "$journal/looking.sh" # fingerprint, as_before, follow, status

taken() { # print.NAME : saves the host's fingerprint under that name: complete and synced, or not at all
    fingerprint >"$dir/$1.new" && fsync "$dir/$1.new" && mv "$dir/$1.new" "$dir/$1" && fsync "$dir"
}

room() { # reserves disk space, which the undo frees as it begins: it must write a fingerprint and rc.conf,
    # and the disk may be full by then. Random bytes, since ZFS would compress zeros away.
    dd if=/dev/urandom of="$dir/room" bs=64k count=64 2>/dev/null
}

roomy() { # is there room for what an undo writes next?
    dd if=/dev/urandom of=probe bs=64k count=16 2>/dev/null
    set -- $?
    rm -f probe
    return "$1"
}

reserve() { # keeps room for the undo of confirmed steps, whatever a jail writes until then
    [ -e spare ] || dd if=/dev/urandom of=spare bs=64k count=512 2>/dev/null || { rm -f spare && false; }
}

make_room() { # directory of a step : frees what was kept for this undo if the disk is full by now
    rm -f "$1/room"
    roomy || rm -f spare
}

facts_hold() { # is the host still as it was when the step was planned? Logs the difference if not
    if [ ! -s "$dir/facts.sh" ]; then return 0; fi
    if [ "$(sh "$dir/facts.sh" 2>/dev/null | sha256 -q)" = "$(cat "$dir/facts.sum")" ]; then return 0; fi
    sh "$dir/facts.sh" 2>/dev/null | diff "$dir/facts.planned" - | head -n 40 >>"$dir/log"
    return 1
}

keep() { # step nnn : saves the before-images for this command's undo
    [ -s "steps/$1/keep/$2" ] || return 0
    images=steps/$1/before/$2 # uploaded with the step: a power cut loses a new directory with its files
    kept=
    i=0
    while read -r file; do
        i=$((i + 1))
        if [ -e "$file" ] && [ ! -e "$images/$i" ]; then
            cp -p "$file" "$images/$i.new" && mv "$images/$i.new" "$images/$i" || return 1
            kept="$kept $images/$i"
        fi
    done <"steps/$1/keep/$2"
    # shellcheck disable=SC2086 # one word per image
    fsync "$images" $kept
}

script() { # step do|undo nnn : runs one command within its limit, and logs its output
    # Builtins where possible: between the stop of one daemon and the start of the other, every fork
    # makes the outage longer.
    KEEP=$journal/steps/$1/before/$3
    export KEEP
    read -r limit <"steps/$1/limit/$3"
    read -r title <"steps/$1/$2/$3.sh"
    printf '%s %s\n' "$3" "${title#\# }" >>"steps/$1/log"
    : >"steps/$1/child"
    umask 022 # as in a root login; only the journal is private
    limited "$limit" sh -eu "$journal/steps/$1/$2/$3.sh" >>"steps/$1/log" 2>&1 </dev/null
    set -- $?
    umask 077
    return "$1"
}

as_planned() { # step, in state applying : saves the fingerprint; ends as undone if the host does not fit the plan
    if ! { taken print.before && reserve && room; }; then
        make_room "$dir"
        unfit="the disk is full$(as_words)"
    elif ! facts_hold; then
        unfit='the host changed since the step was planned'
    else
        return 0
    fi
    say "$1: $unfit; nothing was done"
    rm -f "$dir/room"
    echo "$unfit" >"$dir/reason"
    move "$1" applying undoing && move "$1" undoing undone
    return 1
}

run() { # step
    dir=steps/$1
    echo $$ >"$dir/run.pid"
    move "$1" prepared applying || exit 1
    as_planned "$1" || exit 1
    for file in "$dir"/do/*.sh; do
        [ -e "$file" ] || break
        n=${file##*/}
        n=${n%.sh}
        if ! keep "$1" "$n"; then
            code='before-image failed'
        elif ! note "$1" "begun $n"; then
            code='the journal cannot be written'
        else
            script "$1" 'do' "$n"
            code=$?
        fi
        if [ "$code" != 0 ]; then
            note "$1" "failed $n"
            say "$n failed ($code)"
            make_room "$dir"
            full >>"$dir/log"
            echo "command $n failed ($code): ${title#\# }" >"$dir/reason"
            move "$1" applying undoing && undo_step "$1"
            exit 1
        fi
        echo "done $n" >>"$dir/progress"
    done
    stands "$1"
}

settled() { # syncs the files and directories that the step changed
    # Measured by power cuts on UFS with journaled soft updates: whatever was not fsynced in the last
    # minute or more is lost, also renames and removals, and a new directory with the fsynced files in it.
    find -x /etc /usr/local/etc "$(trees)" /var/log /var/spool \
        \( -type d -o -type f ! -path '/var/*' \) -cnewer "$dir/token" -exec fsync {} + 2>/dev/null
}

stands() { # step, after its last command: it becomes applied, with a deadline
    settled
    if printf '' >>"$dir/progress" && taken print.applied &&
        echo $(($(uptime_now) + $(cat "$dir/confirm_within"))) >"$dir/deadline" &&
        fsync "$dir/deadline" "$dir/progress"; then
        move "$1" applying applied
        return
    fi
    say 'the journal cannot be written'
    echo 'all commands ran, but the journal cannot be written' >"$dir/reason"
    move "$1" applying undoing && undo_step "$1"
    return 1
}

hand() { # step : prepares all that its undo needs before a person types it; may run again to resume
    dir=steps/$1
    if [ -e "$dir/progress" ]; then return; fi
    look "$1"
    if [ "$state" = prepared ]; then move "$1" prepared applying || exit 1; fi
    as_planned "$1" || return 0
    for file in "$dir"/do/*.sh; do
        [ -e "$file" ] || break
        n=${file##*/}
        n=${n%.sh}
        keep "$1" "$n" || exit 1
        echo "begun $n" # the host cannot know what was typed; an undo is also right for a command that never ran
    done >"$dir/progress.new"
    say "$1: to be typed by hand, by $(cat "$dir/hand")"
    fsync "$dir/progress.new" && mv "$dir/progress.new" "$dir/progress" && fsync "$dir"
}

typed() { # step : everything was typed; from now on it is like a step that the host ran
    dir=steps/$1
    sed -e 's/^begun/done/' "$dir/progress" >"$dir/progress.done"
    cat "$dir/progress.done" >>"$dir/progress"
    stands "$1" && arm "$1"
}

from_hand() { # step to : changes the state of a step whose manual entry was not finished
    [ -e "steps/$1/hand" ] || return 1
    if [ ! -e "steps/$1/progress" ]; then # no command was shown yet
        dir=steps/$1
        taken print.before
        : >"$dir/progress"
    fi
    move "$1" applying "$2"
}

undo_step() { # step, in state undoing : undoes the commands that were begun, last first
    # One at a time: the guard, the run and an operator may all start an undo. lockf's lock ends with
    # its process, so another can continue an undo that was killed.
    lockf -k -s -t 300 "steps/$1/undo.lock" sh "$journal/host.sh" undo-locked "$1"
}

given_back() { # step nnn : syncs the files that this undo restored, before it is recorded as undone
    [ -s "steps/$1/keep/$2" ] || return 0
    set -- "steps/$1/keep/$2"
    while read -r file; do
        if [ -d "${file%/*}" ]; then set -- "$@" "${file%/*}"; fi
        if [ -f "$file" ]; then set -- "$@" "$file"; fi
    done <"$1"
    shift
    [ $# -eq 0 ] || fsync "$@"
}

undo_locked() { # step
    dir=steps/$1
    [ "$(state_of "$1")" = undoing ] || return 0
    stop_orphan "$1"
    make_room "$dir"
    if [ -e "$dir/print.applied" ] && [ ! -e "$dir/print.rollback" ]; then
        taken print.rollback
    fi
    failed=
    echo >>"$dir/progress" # a power cut may have left a partial last line
    # shellcheck disable=SC2013 # the lines are numbers
    for n in $(awk '$2 !~ /^[0-9][0-9][0-9]$/ { next }
        $1 == "begun" { begun[$2] = 1 } $1 == "undone" { delete begun[$2] }
        END { for (n in begun) print n }' "$dir/progress" 2>/dev/null | sort -r); do
        # If lockf(1) was killed, the lock is free, and another undo does the rest.
        if [ "$PPID" = 1 ] || ! kill -0 "$PPID" 2>/dev/null; then return 1; fi
        if [ -n "${at_boot:-}" ] && [ -e "$dir/live/$n" ]; then continue; fi
        if script "$1" undo "$n"; then
            given_back "$1" "$n"
            note "$1" "undone $n"
        else
            note "$1" "undo-failed $n"
            say "undo $n failed; what it tried: $journal/$dir/undo/$n.sh"
            failed="$failed $n"
        fi
    done
    if [ -n "$failed" ]; then
        echo "the undo of$failed failed$(as_words)" >"$dir/stuck"
        move "$1" undoing stuck
        return 3
    fi
    if [ -z "${at_boot:-}" ] && ! as_before "$1"; then
        echo 'everything was undone, but the host is not as before' >"$dir/stuck"
        move "$1" undoing stuck
        return 3
    fi
    settled
    move "$1" undoing undone
}

run_lives() { # step : is its run alive? After a restart another process may have its pid
    read -r pid <"steps/$1/run.pid" && kill -0 "$pid" 2>/dev/null || return 1
    case $(ps -o args= -p "$pid" 2>/dev/null) in
    *"host.sh run $1") ;;
    *) return 1 ;;
    esac
}

guard() { # step : the dead-man switch
    dir=steps/$1
    waited=0
    print=print.$$ # the fingerprint for the undo: taken before the deadline, so that the undo starts at once
    met= # the run's pid, once ps(1) has confirmed it: no further ps(1) during a cut-over
    while :; do
        look "$1"
        case $state in
        prepared)
            waited=$((waited + 1))
            [ "$waited" -lt 60 ] || exit 0 # the run never began: there is nothing to undo
            ;;
        applying)
            if [ -e "$dir/hand" ]; then exit 0; fi # a person is typing it: the host cannot know how far
            if [ -n "$met" ] && kill -0 "$met" 2>/dev/null; then
                :
            elif run_lives "$1"; then
                met=$pid
            elif move "$1" applying undoing; then
                echo 'the run ended in the middle' >"$dir/reason"
                undo_step "$1"
            fi
            ;;
        applied)
            until_deadline "$1"
            if [ "$left" -le 0 ] && move "$1" applied undoing; then
                if [ -e "$dir/$print" ]; then mv "$dir/$print" "$dir/print.rollback"; fi
                echo 'no confirm came before the deadline' >"$dir/reason"
                undo_step "$1"
            elif [ "$left" -le 10 ] && [ ! -e "$dir/$print" ]; then
                taken "$print"
            fi
            ;;
        undoing) undo_step "$1" ;;
        *)
            rm -f "$dir/$print" "$dir/$print.new"
            exit 0
            ;;
        esac
        sleep 1
    done
}

arm() { # step : starts a guard, since the first may have been killed; a second one does no harm
    daemon -f sh "$journal/host.sh" guard "$1" || exit 1
}

start() { # step, whose directory was just uploaded as state.prepared
    arm "$1"
    daemon -f sh "$journal/host.sh" run "$1"
}

retry() { # step, in state stuck : repeats the failed undos, and those after them, which ran too early
    awk 'NR == FNR { if ($1 == "undo-failed" && $2 > last) last = $2; next }
        $1 == "undo-failed" || $1 == "undone" && $2 < last { next }
        { print }' "steps/$1/progress" "steps/$1/progress" >"steps/$1/progress.new" &&
        fsync "steps/$1/progress.new" && mv "steps/$1/progress.new" "steps/$1/progress" &&
        rm -f "steps/$1/stuck" "steps/$1/print.rollback"
}

start_undo() { # step reason
    make_room "steps/$1"
    wc -l <"steps/$1/log" >"steps/$1/told"
    look "$1"
    if [ "$state" = stuck ]; then retry "$1"; fi # before the state changes: a running guard begins at once
    for from in confirmed applied stuck undoing; do
        if move "$1" "$from" undoing || from_hand "$1" undoing; then
            echo "$2" >"steps/$1/reason"
            arm "$1"
            exit 0
        fi
    done
    echo "step $1 is $(state_of "$1"): nothing to undo" >&2
    exit 1
}

confirm() { # step token
    [ "$2" = "$(cat "steps/$1/token")" ] || exit 1
    move "$1" applied confirmed && rm -f "steps/$1/room"
}

undo_all() { # for a person at a shell on the host, without the operator's machine
    code=0
    # shellcheck disable=SC2045 # the names are ours, NNN-NAME
    for step in $(ls -r steps); do
        case $(state_of "$step") in
        applied) move "$step" applied undoing ;;
        confirmed) move "$step" confirmed undoing ;;
        stuck) make_room "steps/$step" && retry "$step" && move "$step" stuck undoing ;;
        undoing) ;;
        applying)
            if ! from_hand "$step" undoing; then
                echo "$step is being applied right now: wait for it, or kill $(cat "steps/$step/run.pid")" >&2
                return 1
            fi
            ;;
        *) continue ;;
        esac
        echo "undoing $step"
        undo_step "$step" || code=$?
        if [ "$(state_of "$step")" = stuck ]; then code=3; fi # its guard may have been first
        if [ "$code" != 0 ]; then
            echo "$step is stuck: see $journal/steps/$step/log and differences" >&2
            return "$code"
        fi
    done
}

recover() { # at boot: undoes what was not confirmed, except live changes, which the restart has removed
    # Exit code 0 if it undid something.
    at_boot=yes
    export at_boot
    undid=1
    # shellcheck disable=SC2045 # the names are ours, NNN-NAME
    for step in $(ls -r steps); do
        case $(state_of "$step") in
        applying) move "$step" applying undoing ;;
        applied) move "$step" applied undoing ;;
        undoing) ;;
        *) continue ;;
        esac
        undid=0
        echo 'the host was restarted before the step was confirmed' >"steps/$step/reason"
        undo_step "$step" || echo "cellblock: the undo of $step failed: repair it by hand: $journal/steps/$step/log" >&2
    done
    return "$undid"
}

lock() { # pid run who... : takes the lock for the shell `pid`, and prints a stale lock that it took over;
    # if another run holds it, prints that lock and exits with 6
    # One at a time: if two find a stale lock, the second must not remove the first one's new lock.
    in_turn sh "$journal/host.sh" take-lock "$@"
    exit $?
}

hold() { # pid : holds lock.PID until that process ends, however it ends
    # shellcheck disable=SC2016 # the other sh expands it
    {
        lockf -k -s -t 0 "lock.$1" sh -c 'echo held && exec pwait "$1" >/dev/null' sh "$1" \
            </dev/null 2>/dev/null &
    } | {
        read -r word && [ "$word" = held ]
    }
}

take_lock() { # the same arguments, while no other take_lock runs
    if [ -e lock ] && read -r _ run _ <lock && [ "$run" = "$2" ]; then
        : # of this same run, from an earlier connection
    elif [ -e lock ] && owner_lives; then
        cat lock
        exit 6
    elif [ -e lock ]; then
        say "took over the lock of a run that is gone: $(cat lock)"
        cat lock
    fi
    rm -f lock lock.[0-9]*
    hold "$1" && printf '%s %s\n' "$1" "$2 ${3:-}" >lock.new && mv lock.new lock
}

unlock() { # pid
    if [ -e lock ] && read -r owner _ <lock && [ "$owner" = "$1" ]; then rm -f lock "lock.$1"; fi
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
run | guard | arm | start | hand | typed | follow | status | fingerprint | full | recover | lock | unlock | confirm) "$command" "$@" ;;
undo-locked) undo_locked "$@" ;;
take-lock) take_lock "$@" ;;
start-undo) start_undo "$@" ;;
undo) undo_all ;;
*)
    echo "usage: sh $journal/host.sh undo | status | fingerprint" >&2
    exit 64
    ;;
esac
