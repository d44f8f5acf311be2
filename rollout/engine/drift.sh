# Prints what others changed on this host between the steps and since. It reads only. $journal is the
# journal's directory. One line each; only the last field may contain blanks:
#   changed STEP + FACT      FACT (as in the fingerprint) was added after STEP was applied, and is still there
#   changed STEP - FACT      FACT was removed after STEP was applied, and is still missing
#   owns STEP PLACE<tab>LEFT what the undo of STEP removes or overwrites, and what STEP left there
#   file STEP CTIME PATH     a file in a jail's tree of STEP, changed after STEP was applied
#   at TIME FILE             modification time of a journal file: when Cellblock itself was running
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
        # What Cellblock itself keeps up to date in a jail is in a list beside its root.
        # A file name with a newline in it could imitate these lines.
        find -x "${place}root/etc" "$local" "${place}root/var/cron/tabs" -type f \
            ! -path "*$nl*" -newercm "$step/print.applied" \
            -exec stat -f "file ${step##*/} %c %N" {} + 2>/dev/null |
            { if [ -e "${place}kept" ]; then grep -vF -f "${place}kept"; else cat; fi; } || :
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
