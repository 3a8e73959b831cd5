"""The seed's backend: an HTTP server that answers every GET with the name of its pod.

usage: http_backend.py PORT NAME
"""

import http.server
import socket
import sys


class _Backend(http.server.BaseHTTPRequestHandler):
    name = ""

    def do_GET(self):
        body = f"{self.name}\n".encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments):
        pass


class _Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128

    def server_bind(self):
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()


def main() -> None:
    port, _Backend.name = int(sys.argv[1]), sys.argv[2]
    try:
        _Server.address_family = socket.AF_INET6
        server = _Server(("::", port), _Backend)
    except OSError:  # a pod without IPv6
        _Server.address_family = socket.AF_INET
        server = _Server(("0.0.0.0", port), _Backend)
    server.serve_forever()


if __name__ == "__main__":
    main()
