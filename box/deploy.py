"""The pyinfra deploy of a box (box/base_host.py has what it installs):

pyinfra -y HOST box/deploy.py --data site=site.toml --data missing=bind,mysql,web,mail
"""

import io
from pathlib import Path

from pyinfra import host
from pyinfra.operations import files, server
from pyinfra.operations.freebsd import pkg

from box.base_host import parts
from rollout import site

for part in parts(site.read(Path(host.data.site)), set(str(host.data.missing).split(","))):
    for package in part.packages:
        pkg.install(name=f"{part.name}: install {package}", package=package)
    for path, content in part.files.items():
        files.put(name=f"{part.name}: {path}", src=io.StringIO(content), dest=path)
    server.shell(name=f"{part.name}: set up and start", commands=list(part.lines))
