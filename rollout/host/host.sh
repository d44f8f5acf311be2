#!/bin/sh
# Cellblock's half on the host: runs a step, undoes it, and remembers both. POSIX sh and FreeBSD's
# base system, nothing else. It lives in the journal, /var/db/cellblock, beside what it writes there
# (docs/architecture.md), as one file together with looking.sh. With the operator's machine gone,
#   sh /var/db/cellblock/host.sh undo
# takes the host back.

set -u
umask 077
PATH=/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin
LC_ALL=C # or two logins would not agree on what ps and sort print
export PATH LC_ALL
case $0 in */*) cd "${0%/*}" || exit 1 ;; esac
journal=$(pwd -P) || exit 1

say() { # words... : into the log of the step at hand and the journal's
    line="$(date -u '+%Y-%m-%dT%H:%M:%SZ') $*"
    printf '%s\n' "$line" >>log
    if [ -n "${dir:-}" ]; then printf '%s\n' "$line" >>"$dir/log"; fi
}

look() { # step : $state is the word that its state file is named after; costs no process
    for state in "$journal/steps/$1"/state.*; do :; done
    state=${state##*/state.}
}

state_of() { # step : the same, printed
    look "$1"
    printf '%s\n' "$state"
}

move() { # step from to : the one way a state changes; of two who try, one fails
    mv "steps/$1/state.$2" "steps/$1/state.$3" 2>/dev/null || return 1
    fsync "steps/$1"
    dir=steps/$1
    say "$1: $3"
}

note() { # step words... : into its progress, on the disk before anything else happens
    printf '%s\n' "$2" >>"steps/$1/progress" && fsync "steps/$1/progress"
}

descent() { # pid : it and all its descendants
    ps -ax -o pid= -o ppid= | awk -v root="$1" '
        function walk(p,    i, n, kid) {
            n = split(kids[p], kid, " ")
            for (i = 1; i <= n; i++) walk(kid[i])
            print p
        }
        { kids[$2] = kids[$2] " " $1 }
        END { walk(root) }'
}

kill_tree() { # pid : it and all its descendants, with those that they had while we looked
    stopped='' tree=$1
    # shellcheck disable=SC2086 # one word a pid
    while [ "$tree" != "$stopped" ]; do
        stopped=$tree
        kill -STOP $stopped 2>/dev/null # and who is stopped forks no more
        tree=$(descent "$1")
    done
    # shellcheck disable=SC2086
    kill -KILL $tree 2>/dev/null
}

limited() { # seconds command... : its exit code; after that time it and its children are killed
    # Not timeout(1): without --foreground it kills the daemons that an rc script leaves behind,
    # and with it the grandchildren go on acting while the step is being undone.
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
        # Had this run been killed meanwhile, the pid could by now be anybody's.
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

stop_orphan() { # step : what a killed run was doing must not go on behind the undo
    if [ ! -s "steps/$1/child" ]; then return; fi
    read -r orphan <"steps/$1/child"
    case $(ps -o args= -p "$orphan" 2>/dev/null) in
    *"/steps/$1/"*) kill_tree "$orphan" ;;
    esac
}

# shellcheck source=rollout/host/looking.sh
. "$journal/looking.sh" # fingerprint, as_before, follow, status

taken() { # print.NAME : the host's fingerprint under that name: whole and on the disk, or not at all
    fingerprint >"$dir/$1.new" && fsync "$dir/$1.new" && mv "$dir/$1.new" "$dir/$1" && fsync "$dir"
}

room() { # the undo's own, to be given up as it begins: it writes much of a fingerprint, and rc.conf anew,
    # on a disk that is full by then. Not of zeros, for which a compressing ZFS takes no room.
    dd if=/dev/urandom of="$dir/room" bs=64k count=64 2>/dev/null
}

facts_hold() { # is the host still as it was when the step was planned? Its log is told how not
    if [ ! -s "$dir/facts.sh" ]; then return 0; fi
    if [ "$(sh "$dir/facts.sh" 2>/dev/null | sha256 -q)" = "$(cat "$dir/facts.sum")" ]; then return 0; fi
    sh "$dir/facts.sh" 2>/dev/null | diff "$dir/facts.planned" - | head -n 40 >>"$dir/log"
    return 1
}

keep() { # step nnn : the before-images that this command's undo wants
    [ -s "steps/$1/keep/$2" ] || return 0
    images=steps/$1/before/$2 # laid down with the step: a file in a new directory is lost with that
    kept=
    i=0
    while read -r file; do
        i=$((i + 1))
        if [ -e "$file" ] && [ ! -e "$images/$i" ]; then
            cp -p "$file" "$images/$i.new" && mv "$images/$i.new" "$images/$i" || return 1
            kept="$kept $images/$i"
        fi
    done <"steps/$1/keep/$2"
    # shellcheck disable=SC2086 # one word an image
    fsync "$images" $kept
}

script() { # step do|undo nnn : one command, within its limit, its words into the log
    # Builtins where they do: between the stop of one daemon and the start of the other every fork
    # is outage.
    KEEP=$journal/steps/$1/before/$3
    export KEEP
    read -r limit <"steps/$1/limit/$3"
    read -r title <"steps/$1/$2/$3.sh"
    printf '%s %s\n' "$3" "${title#\# }" >>"steps/$1/log"
    : >"steps/$1/child"
    umask 022 # what a person's root has; only the journal is for nobody else
    limited "$limit" sh -eu "$journal/steps/$1/$2/$3.sh" >>"steps/$1/log" 2>&1 </dev/null
    set -- $?
    umask 077
    return "$1"
}

as_planned() { # step, which is applying : what it is compared with later; undone where others came before it
    if ! { taken print.before && room; }; then
        unfit='the disk is full'
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
            echo "command $n failed ($code): ${title#\# }" >"$dir/reason"
            move "$1" applying undoing && undo_step "$1"
            exit 1
        fi
        echo "done $n" >>"$dir/progress"
    done
    stands "$1"
}

settled() { # what the step did to files and names is on the disk
    # Measured with the power cut on UFS with journaled soft updates: for a minute and more all that was
    # not fsynced is lost, a rename and a removal as well, and with a new directory what was fsynced in it.
    find -x /etc /usr/local/etc /usr/jails /var/log /var/spool \
        \( -type d -o -type f ! -path '/var/*' \) -cnewer "$dir/token" -exec fsync {} + 2>/dev/null
}

stands() { # step, all of whose commands came through: from now on it has a deadline
    settled
    if printf '' >>"$dir/progress" && taken print.applied &&
        echo $(($(date +%s) + $(cat "$dir/confirm_within"))) >"$dir/deadline" &&
        fsync "$dir/deadline" "$dir/progress"; then
        move "$1" applying applied
        return
    fi
    say 'the journal cannot be written'
    echo 'all commands ran, but the journal cannot be written' >"$dir/reason"
    move "$1" applying undoing && undo_step "$1"
    return 1
}

hand() { # step : all that its undo needs, before a person types it; again for a person who comes back
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
        echo "begun $n" # nobody will know how far he came, and an undo is right for what was not done
    done >"$dir/progress.new"
    say "$1: to be typed by hand, by $(cat "$dir/hand")"
    fsync "$dir/progress.new" && mv "$dir/progress.new" "$dir/progress" && fsync "$dir"
}

typed() { # step : the person is through; from here on it is like one that ran
    dir=steps/$1
    sed -e 's/^begun/done/' "$dir/progress" >"$dir/progress.done"
    cat "$dir/progress.done" >>"$dir/progress"
    stands "$1" && arm "$1"
}

from_hand() { # step to : takes a step out of the hands of a person who did not come to its end
    [ -e "steps/$1/hand" ] || return 1
    if [ ! -e "steps/$1/progress" ]; then # he was not shown anything yet
        dir=steps/$1
        taken print.before
        : >"$dir/progress"
    fi
    move "$1" applying "$2"
}

undo_step() { # step, whose state is undoing : takes back what was begun, last first
    # One at a time: the guard, the run and an operator may all come to undo. lockf's lock dies
    # with its holder, so an undo that was killed can be gone on with.
    lockf -k -s -t 300 "steps/$1/undo.lock" sh "$journal/host.sh" undo-locked "$1"
}

given_back() { # step nnn : what this undo made of its files is on the disk before it counts as undone
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
    rm -f "$dir/room"
    if [ -e "$dir/print.applied" ] && [ ! -e "$dir/print.rollback" ]; then
        taken print.rollback
    fi
    failed=
    echo >>"$dir/progress" # of its last line the power may have left a part
    # shellcheck disable=SC2013 # the lines are numbers
    for n in $(awk '$2 !~ /^[0-9][0-9][0-9]$/ { next }
        $1 == "begun" { begun[$2] = 1 } $1 == "undone" { delete begun[$2] }
        END { for (n in begun) print n }' "$dir/progress" 2>/dev/null | sort -r); do
        # With lockf(1) killed the lock is free: whoever took it does the rest.
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
        echo "the undo of$failed failed" >"$dir/stuck"
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

run_lives() { # step : a restart may have given its pid to somebody else
    read -r pid <"steps/$1/run.pid" && kill -0 "$pid" 2>/dev/null || return 1
    case $(ps -o args= -p "$pid" 2>/dev/null) in
    *"host.sh run $1") ;;
    *) return 1 ;;
    esac
}

guard() { # step : the dead-man switch
    dir=steps/$1
    waited=0
    print=print.$$ # what the undo is compared with: taken before the deadline, or who is cut off waits for it, too
    met= # the run's pid, once ps(1) has said that it is the run's: it is not asked again beside a cut-over
    while :; do
        look "$1"
        case $state in
        prepared)
            waited=$((waited + 1))
            [ "$waited" -lt 60 ] || exit 0 # the run never began: nothing was done, nothing is owed
            ;;
        applying)
            if [ -e "$dir/hand" ]; then exit 0; fi # typed by a person: nobody knows how far he is
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
            read -r deadline <"$dir/deadline"
            left=$((deadline - $(date +%s)))
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

arm() { # step : a guard for it; a second one does no harm, and the first may have been killed
    daemon -f sh "$journal/host.sh" guard "$1" || exit 1
}

start() { # step, whose directory was just uploaded as state.prepared
    arm "$1"
    daemon -f sh "$journal/host.sh" run "$1"
}

retry() { # step, which is stuck : what lies below an undo that failed was taken back too early: again, after it
    awk 'NR == FNR { if ($1 == "undo-failed" && $2 > last) last = $2; next }
        $1 == "undo-failed" || $1 == "undone" && $2 < last { next }
        { print }' "steps/$1/progress" "steps/$1/progress" >"steps/$1/progress.new" &&
        fsync "steps/$1/progress.new" && mv "steps/$1/progress.new" "steps/$1/progress" &&
        rm -f "steps/$1/stuck" "steps/$1/print.rollback"
}

start_undo() { # step reason
    wc -l <"steps/$1/log" >"steps/$1/told"
    look "$1"
    if [ "$state" = stuck ]; then retry "$1"; fi # before it moves: a guard that is still awake begins at once
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

undo_all() { # from the shell of a person, with nothing else at hand
    code=0
    # shellcheck disable=SC2045 # the names are ours, NNN-NAME
    for step in $(ls -r steps); do
        case $(state_of "$step") in
        applied) move "$step" applied undoing ;;
        confirmed) move "$step" confirmed undoing ;;
        stuck) retry "$step" && move "$step" stuck undoing ;;
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
        if [ "$code" != 0 ]; then
            echo "$step is stuck: see $journal/steps/$step/log and differences" >&2
            return "$code"
        fi
    done
}

recover() { # at boot: what was not confirmed is undone; what lived in the kernel is gone already
    # Exit code 0 when something was.
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
        undo_step "$step" || echo "cellblock: the undo of $step needs hands: $journal/steps/$step/log" >&2
    done
    return "$undid"
}

owner_lives() { # the lock names the pid and the start of the owner's shell on this host
    read -r holder started <lock || return 1
    [ "$(ps -o lstart= -p "$holder" 2>/dev/null | tr -s ' ' '_')" = "${started%% *}" ]
}

lock() { # pid run who... : takes the lock for the shell `pid`, and prints the one that it took over;
    # or prints the one that is held, and exits 6
    # One at a time: of two who find a dead owner, the second must not move away the first's new lock.
    lockf -k -s -t 30 lock.turn sh "$journal/host.sh" take-lock "$@"
    exit $?
}

take_lock() { # the same arguments, nobody else at it
    if [ -e lock ] && read -r _ _ run _ <lock && [ "$run" = "$2" ]; then
        rm -f lock # our own run's, over a connection that the host has not given up yet
    elif [ -e lock ] && ! owner_lives; then
        say "took over the lock of a run that is gone: $(cat lock)"
        cat lock
        rm -f lock
    elif [ -e lock ]; then
        cat lock
        exit 6
    fi
    printf '%s %s %s\n' "$1" "$(ps -o lstart= -p "$1" | tr -s ' ' '_')" "$2 ${3:-}" >lock.new &&
        mv lock.new lock
}

unlock() { # pid
    if [ -e lock ] && read -r owner _ <lock && [ "$owner" = "$1" ]; then rm -f lock; fi
}

command=${1:-}
[ $# -eq 0 ] || shift
case $command in
run | guard | arm | start | hand | typed | follow | status | fingerprint | recover | lock | unlock | confirm) "$command" "$@" ;;
undo-locked) undo_locked "$@" ;;
take-lock) take_lock "$@" ;;
start-undo) start_undo "$@" ;;
undo) undo_all ;;
*)
    echo "usage: sh $journal/host.sh undo | status | fingerprint" >&2
    exit 64
    ;;
esac
