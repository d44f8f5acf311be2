"""What a guest sends to its operator, brought to a port of this machine: `python relay.py PORT`.

qemu starts one for each connection of the guest's, with that connection as its standard input.
"""

import os
import socket
import sys

BLOCK = 65536


def main(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port)) as there:
        while block := os.read(sys.stdin.fileno(), BLOCK):
            there.sendall(block)


if __name__ == "__main__":
    main(int(sys.argv[1]))
