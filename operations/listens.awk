# Adapts where Apache, MySQL, Postfix and Dovecot listen to a jail with the single address `new`. The input
# names the files, one a line. Each address in `own`, the host's, becomes `new`. A socket is bound to it
# only once, so what would be bound again is left out. A virtual host of Apache's keeps its address, since
# forwarded connections still have it, and gets the jail's beside `wan`, for those who ask the jail itself.
# Where Apache lets in 127.0.0.1 or the host, programs of jails, which came from there, are let in by `lan`.

function is_own(address) { return address ~ /^127[.]/ || index(own, " " address " ") }

function apache(line,    word, head, rest, port) {
    # IPv6, which a jail lacks: Apache ends if it cannot bind.
    if (match(line, /^[ \t]*[Ll][Ii][Ss][Tt][Ee][Nn][ \t]+\[[0-9A-Fa-f:.]*\]/)) {
        rest = substr(line, RLENGTH + 1)
        port = rest
        sub(/[ \t\r].*/, "", port)
        if (bound[port]++ || substr(port, 2) in open_at) return "# " line
        sub(/\[.*\]/, new, line)
        return line
    }
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

function noted(line,    word, six) {
    if (!match(line, /^[ \t]*[Ll][Ii][Ss][Tt][Ee][Nn][ \t]+[^ \t\r]+/)) return
    word = substr(line, RSTART, RLENGTH)
    sub(/.*[ \t]/, "", word)
    if (word ~ /^127[.]/ || word ~ /^\[::1\]/) return
    six = word ~ /^\[/
    sub(/.*:/, "", word)
    open[word]
    if (!six) open_at[word]
}

# <VirtualHost ADDRESS[:PORT] ...>; one at 127.0.0.1 only if nothing listens at its port elsewhere.
function virtual(line,    rest, count, words, more, at, port, i) {
    rest = line
    sub(/^[ \t]*<[^ \t]+/, "", rest)
    sub(/>.*/, "", rest)
    count = split(rest, words, /[ \t"]+/)
    more = ""
    for (i = 1; i <= count; i++) {
        at = port = words[i]
        sub(/:.*/, "", at)
        if (!sub(/^[^:]*:/, "", port)) port = ""
        if (at != wan && !(at ~ /^127[.]/ && port ~ /^[0-9]+$/ && !(port in open))) continue
        at = " " new (port == "" ? "" : ":" port)
        if (index(more " ", at " ") == 0) more = more at
    }
    if (more == "" || !match(line, />[^>]*$/)) return line
    return substr(line, 1, RSTART - 1) more substr(line, RSTART)
}

# Require ip ..., Allow from ..., Deny from ...
function clients(line,    rest, done, let, word) {
    if (index(line " ", " " lan " ")) return line
    rest = line
    done = let = ""
    while (match(rest, /[^ \t]+/)) {
        word = substr(rest, RSTART, RLENGTH)
        done = done substr(rest, 1, RSTART + RLENGTH - 1)
        rest = substr(rest, RSTART + RLENGTH)
        gsub(/"/, "", word)
        if (word ~ /^127([.][0-9]+)*([\/][0-9]+)?$|^localhost$/ || word == wan || word == wan "/32") let = done
    }
    return let == "" ? line : let " " lan substr(line, length(let) + 1)
}

# Require [not] local, Require [not] host localhost. `local` is a client at 127.0.0.1, or with the address that it
# asked; a program of a jail that asks the public address was one, too, and has the jail's address then.
function nearby(line,    blank, more) {
    match(line, /^[ \t]*/)
    blank = substr(line, 1, RLENGTH)
    more = "Require " (tolower(line) ~ /^[ \t]*require[ \t]+not[ \t]/ ? "not " : "") "ip " lan
    if (more ~ / not /) return line "\n" blank more
    return blank "<RequireAny>\n" line "\n" blank more "\n" blank "</RequireAny>"
}

# master.cf(5): the lines after one that is left out, and begin with a blank, belong to it.
function postfix(line,    word, rest, port) {
    if (line ~ /^[ \t]/) return left_out ? "# " line : line
    left_out = 0
    if (line !~ /^[0-9.]+:[^ \t]+[ \t]+inet[ \t]/) return line
    word = line
    sub(/:.*/, "", word)
    if (!is_own(word)) return line
    rest = substr(line, length(word) + 1)
    port = rest
    sub(/[ \t].*/, "", port)
    left_out = bound["postfix" port]++
    return left_out ? "# " line : new rest
}

# -o mynetworks=127.0.0.0/8 of the service to which a filter gives mail back: in the same jail it comes from the
# jail's address.
function trusted(line) {
    if (match(line, /(mynetworks|smtpd_authorized_x(forward|client)_hosts)=[^ \t]*127[.][^ \t]*/) && index(line, lan) == 0)
        return substr(line, 1, RSTART + RLENGTH - 1) "," lan substr(line, RSTART + RLENGTH)
    return line
}

function listed(line, head,    rest, comment, count, words, kept, i) {
    rest = substr(line, length(head) + 1)
    comment = match(rest, /[ \t\r]*(#.*)?$/) ? substr(rest, RSTART) : ""
    rest = substr(rest, 1, length(rest) - length(comment))
    count = split(rest, words, /[ \t]*[, \t][ \t]*/)
    kept = ""
    for (i = 1; i <= count; i++) {
        if (is_own(words[i])) words[i] = new
        if (words[i] ~ /:/ && (i < count || kept != "")) continue  # IPv6, which a jail lacks
        if (words[i] ~ /:/) words[i] = new
        if (index("," kept ",", "," words[i] ",") == 0) kept = kept (kept == "" ? "" : ",") words[i]
    }
    return head kept comment
}

function fitted(line, file) {
    if (match(line, /^[ \t]*bind[-_]address[ \t]*=?[ \t]*/)) return listed(line, substr(line, 1, RLENGTH))
    if (file ~ /\/dovecot\// && match(line, /^[ \t]*(address|listen)[ \t]*=[ \t]*/))
        return listed(line, substr(line, 1, RLENGTH))
    if (tolower(line) ~ /^[ \t]*<virtualhost[ \t]/) return virtual(line)
    if (lan && tolower(line) ~ /^[ \t]*(require[ \t]+(not[ \t]+)?ip|(allow|deny)[ \t]+from)[ \t]/) return clients(line)
    if (lan && tolower(line) ~ /^[ \t]*require[ \t]+(not[ \t]+)?(local[ \t\r]*$|host[ \t]+(.*[ \t])?"?localhost"?([ \t\r]|$))/)
        return nearby(line)
    if (file !~ /\/master[.]cf$/) return apache(line)
    if (lan) line = trusted(line)
    return postfix(line)
}

{
    files[++n] = $0
    while ((getline line < $0) > 0) {
        lines[n, ++counts[n]] = line
        noted(line)
    }
    close($0)
}
END {
    for (each = 1; each <= n; each++) {
        left_out = 0
        for (i = 1; i <= counts[each]; i++) print fitted(lines[each, i], files[each]) > files[each]
        close(files[each])
    }
}
