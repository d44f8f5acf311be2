"""doveconf(1): Dovecot's settings, those of included files in place."""

from __future__ import annotations

import re

from standin.commands import command
from standin.daemons import configs
from standin.linux.shim import Call, Failed, Reply, Unknown
from standin.model.host import Host


@command("/usr/local/bin/doveconf")
def doveconf(host: Host, call: Call) -> Reply:
    lines = configs.dovecot_lines(call.rootdir)
    if call.rootdir.read(configs.DOVECOT) is None:
        raise Failed(f"doveconf: Fatal: open({configs.DOVECOT}) failed: No such file\n", 89)
    match call.args:
        case ("-n",):
            return Reply("# 2.3.21 (47349e2482): " + "\n".join([configs.DOVECOT, *lines]) + "\n")
        case ("-h", name):
            told = [line for line in lines if re.match(rf"{re.escape(name)}\s*=", line)]
            return Reply(told[-1].partition("=")[2].strip() + "\n" if told else "\n")
        case _:
            raise Unknown(f"doveconf: {' '.join(call.args)} is not known to the stand-in\n", 89)
