# Reads lines of Apache's configuration, each as FILE:NUMBER:LINE. Prints each path in
# them, with what Define says in the place of ${NAME}, and its directory; of a pattern the part before it.

function path(at) {
    sub(/[\/][^\/]*[$%*?\[].*$/, "", at)
    if (at !~ /^[\/]/) at = root "/" at
    sub(/[\/]+$/, "", at)
    if (at == "") return
    print at
    if (sub(/[\/][^\/]*$/, "", at) && at != "") print at
}

function told(word,    part, count, i) {
    gsub(/unix:/, "|", word)
    count = split(word, part, "|")
    for (i = 1; i <= count; i++) if (part[i] ~ /[\/]/ && part[i] !~ /:/) path(part[i])
    # Absolute paths in words such as python-home=/data/venv, txt:/data/map, -I/data/perl.
    count = split(word, part, /[ \t=:,;|()]+/)
    for (i = 1; i <= count; i++) {
        sub(/^-[A-Za-z]/, "", part[i])
        if (part[i] ~ /^[\/]/) path(part[i])
    }
}

function defined(line,    name, at, more) {
    for (more = 0; more < 8 && index(line, "${"); more++)
        for (name in value)
            while (at = index(line, "${" name "}"))
                line = substr(line, 1, at - 1) value[name] substr(line, at + length(name) + 3)
    return line
}

function words(line,    part, count, i) {
    while (match(line, /"[^"]*"|'[^']*'/)) {
        told(substr(line, RSTART + 1, RLENGTH - 2))
        line = substr(line, 1, RSTART - 1) " " substr(line, RSTART + RLENGTH)
    }
    count = split(line, part, /[ \t]+/)
    for (i = 1; i <= count; i++) told(part[i])
}

BEGIN { root = "/usr/local" }
{
    sub(/^[^:]*:[^:]*:/, "")
    lines[NR] = $0
    gsub(/["']/, " ")
    if (tolower($1) == "serverroot") root = $2
    if (tolower($1) == "define" && NF > 2 && index($3, "${" $2 "}") == 0) value[$2] = $3
}
END { for (n = 1; n <= NR; n++) words(defined(lines[n])) }
