"""Accepts connections on the ports of one address and closes them: `listeners.py ADDRESS PORT,PORT,...`."""

import selectors
import socket
import sys


def main():
    address, ports = sys.argv[1], [int(port) for port in sys.argv[2].split(",")]
    selector = selectors.DefaultSelector()
    for port in ports:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, port))
        listener.listen(128)
        listener.setblocking(False)
        selector.register(listener, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            try:
                key.fileobj.accept()[0].close()
            except OSError:
                # The peer was gone before it was accepted.
                pass


main()
