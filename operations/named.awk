# Adapts named.conf and its includes, given as arguments, to a jail with the single address `new`: what
# was bound to `old` or 127.0.0.1 is bound to `new`. Access stays the same: in a jail, the acls localnets
# and localhost mean only that address, so what they meant on the host, `nets` and `self`, is written
# out; programs that came from 127.0.0.1 come from the jails' network, `lan`, now, and those of the host
# over UDP from `old` (docs/decisions/0026).

function element(word) {
    if (depth > 0 && first[depth] == word && word == "localnets") return "{ " nets " }"
    if (depth > 0 && first[depth] == word && word == "localhost") return "{ " self " }"
    if ((word == old || word == "127.0.0.1") && is_in("listen-on|controls|[a-z]+-source")) return new
    if (word ~ /^127([.][0-9]+)*(\/[0-9]+)?$/ && is_in("acl|allow-.*|match-.*"))
        return "{ " word "; " lan "; " old "; }"
    if ((word == old || word == old "/32") && is_in("allow-(recursion|query|query-cache)|match-clients"))
        return "{ " word "; " lan "; }"
    return word
}

function is_in(statements,    i) {
    for (i = 0; i <= depth; i++) if (first[i] ~ ("^(" statements ")$")) return 1
    return 0
}

function begin_of_file() { depth = 0; first[0] = ""; in_comment = 0 }

# Takes one token off the left of `rest` and updates the state.
function token(    end, skipped, text) {
    if (in_comment || substr(rest, 1, 2) == "/*") {
        skipped = in_comment ? 0 : 2
        end = index(substr(rest, skipped + 1), "*/")
        in_comment = !end
        return taken(end ? skipped + end + 1 : length(rest))
    }
    if (match(rest, /^[ \t\r]+/) || match(rest, /^(\/\/|#).*/)) return taken(RLENGTH)
    if (rest ~ /^[{};!]/) {
        text = taken(1)
        if (text == "{") first[++depth] = ""
        if (text == "}" && depth > 0) depth--
        if (text == ";") first[depth] = ""
        return text
    }
    if (!match(rest, /^"[^"]*"/)) match(rest, /^[^ \t\r{};!"]+|^./)
    text = taken(RLENGTH)
    if (first[depth] == "") first[depth] = text
    if (first[0] == "options" && depth == 1) {
        if (first[1] ~ /^allow-(recursion|query|query-cache)$/) says_who_may_recurse = 1
        if (first[1] == "recursion" && text ~ /^(no|false|0)$/) says_who_may_recurse = 1
    }
    return element(text)
}

function taken(count,    text) {
    text = substr(rest, 1, count)
    rest = substr(rest, count + 1)
    return text
}

function fitted(line,    out, text) {
    rest = line
    out = ""
    while (rest != "") {
        text = token()
        out = out text
        if (text == "{" && depth == 1 && first[0] == "options" && writes && !says_who_may_recurse)
            out = out " allow-recursion { " nets " " self " };"
    }
    return out
}

function read_in(file,    line, count) {
    begin_of_file()
    count = 0
    while ((getline line < file) > 0) {
        lines[++count] = line
        if (!writes) fitted(line)
    }
    close(file)
    return count
}

BEGIN {
    for (i = 1; i < ARGC; i++) read_in(ARGV[i])
    writes = 1
    for (i = 1; i < ARGC; i++) {
        count = read_in(ARGV[i])
        begin_of_file()
        for (n = 1; n <= count; n++) print fitted(lines[n]) > ARGV[i]
        close(ARGV[i])
    }
    exit
}
