# Adapts named.conf and its includes to a jail with the address `new`: what was bound to `old` or
# 127.0.0.1 is bound to `new`. `further` are more addresses of the host at which it may listen, each with
# the one that the jail has for it, since over UDP each needs its own (docs/decisions/0033). Access stays
# the same: in a jail, the acls localnets and localhost mean only the jail's addresses, so what they meant
# on the host, `nets` and `self`, is written out; programs that came from 127.0.0.1 come from the jails'
# network, `lan`, now, and those of the host over UDP from `old` (docs/decisions/0026).
#
# The arguments are the files that may be its own, named.conf among them, below the directory `into`,
# the jail's copy of `from`. An included file is read where it is included, whatever its name: it may be
# a part of options or of a view.

function element(word,    bare) {
    bare = word
    gsub(/"/, "", bare)
    if (depth > 0 && first[depth] == word && bare == "localnets") return "{ " nets " }"
    if (depth > 0 && first[depth] == word && bare == "localhost") return "{ " self " }"
    if (word == old || word == "127.0.0.1") {
        if (is_in("listen-on|controls|[a-z]+-source")) return new
        if (depth == 1 && first[0] == "statistics-channels") return new
    }
    if (word in ends && is_in("listen-on")) return ends[word]
    if (word ~ /^127([.][0-9]+)*(\/[0-9]+)?$/ && is_in("acl|allow-.*|match-.*|statistics-channels|exempt-clients"))
        return "{ " word "; " lan "; " old "; }"
    if ((word == old || word == old "/32") && is_in("allow-(recursion|query|query-cache)|match-clients"))
        return "{ " word "; " lan "; }"
    return word
}

function is_in(statements,    i) {
    for (i = 0; i <= depth; i++) if (first[i] ~ ("^(" statements ")$")) return 1
    return 0
}

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
        if (first[1] == "recursion" && text ~ /^(no|false|0)$/) recurses_nowhere = 1
    }
    if (first[0] == "view" && depth == 1 && first[1] == "recursion" && text ~ /^(yes|true|1)$/) view_recurses = 1
    if (first[depth] == "include" && text ~ /^".*"$/) included = substr(text, 2, length(text) - 2)
    return element(text)
}

function taken(count,    text) {
    text = substr(rest, 1, count)
    rest = substr(rest, count + 1)
    return text
}

function says() { return says_who_may_recurse || (recurses_nowhere && !view_recurses) }

function fitted(line,    out, text, file) {
    rest = line
    out = ""
    while (rest != "") {
        text = token()
        out = out text
        if (text == "{" && depth == 1 && first[0] == "options" && writes && !says())
            out = out " allow-recursion { " nets " " self " };"
        if (text == ";" && included != "") {
            file = index(included, from "/") == 1 ? into substr(included, length(from) + 1) : ""
            included = ""
            if (file != "") out = out read_in(file, rest)
        }
    }
    return out
}

# `after` is the rest of the line that includes the file.
function read_in(file, after,    n) {
    if (!(file in count)) {
        count[file] = 0
        while ((getline line < file) > 0) lines[file, ++count[file]] = line
        close(file)
    }
    if (!seen[writes, file]++) {
        for (n = 1; n <= count[file]; n++) fit[file, n] = fitted(lines[file, n])
        if (writes && count[file]) {
            for (n = 1; n <= count[file]; n++) print fit[file, n] > file
            close(file)
        }
    }
    rest = after
    return ""
}

function all(main,    i) {
    depth = 0; first[0] = ""; in_comment = 0
    read_in(main, "")
    for (i = 1; i < ARGC; i++) {
        depth = 0; first[0] = ""; in_comment = 0
        read_in(ARGV[i], "")
    }
}

BEGIN {
    pairs = split(further, pair, " ")
    for (n = 1; n < pairs; n += 2) ends[pair[n]] = pair[n + 1]
    main = into "/namedb/named.conf"
    all(main)
    writes = 1
    all(main)
    exit
}
