# What others changed on this host in between our steps, and since. Reads, and writes nothing. $journal
# is the journal's directory. In lines, each field but the last without a blank:
#   changed STEP + FACT      it came after STEP was applied, and is there; FACT as in the fingerprint
#   changed STEP - FACT      the same of one that went, and is gone
#   owns STEP PLACE<tab>LEFT what the step's undo removes or overwrites, and what it leaves there
#   file STEP CTIME PATH     changed after STEP was applied, in a jail's tree that it made
#   at TIME FILE             of the journal: when we were at work ourselves
cd "${journal:?}" 2>/dev/null && [ -f host.sh ] || exit 0
tab='	'
nl='
'
set --
last=
for step in steps/*; do
    if [ ! -e "$step/state.confirmed" ] && [ ! -e "$step/state.applied" ]; then continue; fi
    [ -s "$step/print.applied" ] || continue
    if [ -n "$last" ]; then set -- "$@" "$last/print.applied" "$step/print.before"; fi
    last=$step
    [ -e "$step/owns" ] || continue
    sed -e "s|^|owns ${step##*/} |" "$step/owns"
    while IFS=$tab read -r place _; do
        case $place in */) ;; *) continue ;; esac
        local=${place}local-etc
        [ -d "$local" ] || local=${place}root/usr/local/etc
        # A name with a newline in it could pass for lines of ours.
        find -x "${place}root/etc" "$local" "${place}root/var/cron/tabs" -type f \
            ! -path "*$nl*" -newercm "$step/print.applied" \
            -exec stat -f "file ${step##*/} %c %N" {} + 2>/dev/null || :
    done <"$step/owns"
done
[ -n "$last" ] || exit 0
for file in steps/*/print.* history/*/print.* steps/*/progress history/*/progress; do
    [ -e "$file" ] && printf '%s\n' "$file"
done | xargs stat -f 'at %m %N'
sh host.sh fingerprint | awk '
    function gone(    fact) {
        for (fact in left) if (!(fact in found) && !(fact in now)) print "changed", step, "-", fact
    }
    FNR == 1 && ++file % 2 == 0 {
        if (step) gone()
        split("", left)
        split("", found)
        step = FILENAME
        sub(/^steps\//, "", step)
        sub(/\/.*/, "", step)
    }
    file == 1 { now[$0]; next }
    file % 2 == 0 { left[$0]; next }
    { found[$0] }
    !($0 in left) && $0 in now { print "changed", step, "+", $0 }
    END {
        if (file % 2) exit
        gone()
        for (fact in now) if (!(fact in left)) print "changed", step, "+", fact
    }' - "$@" "$last/print.applied"
