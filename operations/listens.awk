# Adapts where Apache and MySQL listen to a jail with the single address `new`. The input names the files,
# one a line. Each address in `own`, the host's, becomes `new`. A socket is bound to it only once, so what
# would be bound again is left out.

function is_own(address) { return address ~ /^127[.]/ || index(own, " " address " ") }

function apache(line,    word, port) {
    if (!match(line, /^[ \t]*[Ll][Ii][Ss][Tt][Ee][Nn][ \t]+[0-9.]+/)) return line
    head = substr(line, 1, RLENGTH)
    rest = substr(line, RLENGTH + 1)
    word = head
    sub(/.*[ \t]/, "", word)
    if (!is_own(word)) return line
    port = rest
    sub(/[ \t\r].*/, "", port)
    if (bound[port]++) return "# " line
    return substr(head, 1, length(head) - length(word)) new rest
}

function mysql(line,    head, rest, comment, count, words, kept, i) {
    if (!match(line, /^[ \t]*bind[-_]address[ \t]*=?[ \t]*/)) return line
    head = substr(line, 1, RLENGTH)
    rest = substr(line, RLENGTH + 1)
    comment = match(rest, /[ \t\r]*(#.*)?$/) ? substr(rest, RSTART) : ""
    rest = substr(rest, 1, length(rest) - length(comment))
    count = split(rest, words, /[ \t]*,[ \t]*/)
    kept = ""
    for (i = 1; i <= count; i++) {
        if (is_own(words[i])) words[i] = new
        if (index("," kept ",", "," words[i] ",") == 0) kept = kept (kept == "" ? "" : ",") words[i]
    }
    return head kept comment
}

{
    count = 0
    while ((getline line < $0) > 0) lines[++count] = line
    close($0)
    for (i = 1; i <= count; i++) print apache(mysql(lines[i])) > $0
    close($0)
}
