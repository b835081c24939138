"""Sends bytes that no client library would send: odd_requests.py PORT SILENT_PORT.

Each request has its own connection; the answer is read to its end and not looked at.
"""

import random
import socket
import sys

PORT, SILENT_PORT = int(sys.argv[1]), int(sys.argv[2])
HOST = b"Host: sample.example\r\n"


def send(data, host="127.0.0.1", finish=True):
    with socket.create_connection((host, PORT), timeout=5) as connection:
        connection.sendall(data)
        if finish:
            connection.shutdown(socket.SHUT_WR)
        try:
            while connection.recv(65536):
                pass
        except OSError:
            pass


def request(line, headers=b""):
    send(line + b"\r\n" + HOST + headers + b"Connection: close\r\n\r\n")


def main():
    numbers = random.Random(1)
    lines = [
        b"GET / HTTP/1.1", b"GET /a b c HTTP/1.1", b"GET  /double  HTTP/1.1", b"GET /tab\there HTTP/1.1",
        b"GET\t/tabs\tHTTP/1.1", b"GET / HTTP/9.9", b"GET / HTTP/1.2", b"GET / HTTP/2.0", b"GET / http/1.1",
        b"GET / HTTP/1.1 ", b" GET / HTTP/1.1", b"get / HTTP/1.1", b"GET / FTP/1.0", b"GET /",
        b"GET", b"G", b"HELLO", b"hello world", b"GET http://other.example/x HTTP/1.1",
        b"CONNECT db.example:5432 HTTP/1.1", b"OPTIONS * HTTP/1.1", b"TRACE / HTTP/1.1",
        b"PROPFIND /dav/ HTTP/1.1", b"SEARCH / HTTP/1.1", b"M-SEARCH * HTTP/1.1", b"VERSION-CONTROL /x HTTP/1.1",
        b"QUERY_LONG_METHOD_NAME_WITH_UNDERSCORES /x HTTP/1.1", b"GET /%00 HTTP/1.1", b"GET /%zz HTTP/1.1",
        b"GET /..%2f..%2fetc/passwd HTTP/1.1", b"GET /../../etc/passwd HTTP/1.1", b"GET //double//slash HTTP/1.1",
        b'GET /"quoted" HTTP/1.1', b"GET /back\\slash HTTP/1.1", b"GET /caf\xc3\xa9 HTTP/1.1",
        b"GET /\xff\xfe HTTP/1.1", b"GET /del\x7f HTTP/1.1", b"GET /\x01\x02 HTTP/1.1", b"GET /nul\x00byte HTTP/1.1",
        b"GET /shell?cmd=;cat%20/etc/passwd HTTP/1.1", b"GET /${jndi:ldap://x.example/a} HTTP/1.1",
        b"POST /cgi-bin/.%2e/.%2e/bin/sh HTTP/1.1", b"GET /#fragment HTTP/1.1", b"GET /?a=1?b=2 HTTP/1.1",
        b"GET ?only=query HTTP/1.1", b"GET * HTTP/1.1", b"PRI * HTTP/2.0", b"SSH-2.0-OpenSSH_9.6",
        b"\x03\x00\x00/*\xe0\x00\x00\x00\x00\x00Cookie: mstshash=Administr",
        b"\x16\x03\x01\x00\xee\x01\x00\x00\xea\x03\x03" + numbers.randbytes(64),
        b"MGLNDD_198.51.100.7_80", b"*1\r\n$4\r\nINFO", b"EHLO mail.example", b"\x00\x00\x00\x54\xffSMBr",
    ]
    for line in lines * 4:
        request(line)
    for line in lines:
        request(line, b'User-Agent: "odd\\agent"\r\nReferer: -\r\nX-Forwarded-For: 192.0.2.33\r\n')

    for _ in range(8):
        # HTTP/0.9 has neither protocol nor headers.
        send(b"GET /index.html\r\n")
        send(b"GET /healthz\r\n")
        send(b"GET / HTTP/1.0\r\n\r\n")
        send(b"\r\n\r\n")
        send(b"\r\n\r\nGET /after/empty/lines HTTP/1.0\r\n\r\n")
        send(b"GET /lf/only HTTP/1.0\n\n")
        send(b"GET /cut/in/the/req")
        send(b"GET /cut/in/headers HTTP/1.1\r\nHost: sam")
        send(b"")
        send(b"GET /no/host HTTP/1.1\r\n\r\n")
        send(b"GET /two/hosts HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        send(b"POST /bad/length HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n")
        send(b"POST /short/body HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nfew")
        send(b"GET /empty/headers HTTP/1.0\r\nUser-Agent:\r\nReferer:\r\n\r\n")
        send(b"GET /spaces HTTP/1.0\r\nUser-Agent:   many   spaces   \r\n\r\n")
        send(b"GET /tabbed HTTP/1.0\r\nUser-Agent: a\tb\x01\x1f\x7f\r\nReferer: \x80\x81\r\n\r\n")
        send(b"GET /ipv6 HTTP/1.0\r\n\r\n", host="::1")
        send(numbers.randbytes(120).replace(b"\n", b"?") + b"\r\n\r\n")
        send(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    for _ in range(40):
        request(b"GET /healthz HTTP/1.1", b"User-Agent: ELB-HealthChecker/2.0\r\n")

    # nginx waits a second for the rest of these, and for a backend that says nothing.
    with socket.create_server(("127.0.0.1", SILENT_PORT)):
        send(b"", finish=False)
        send(b"GET /slow/req", finish=False)
        send(b"GET /slow/headers HTTP/1.1\r\nHost: a\r\n", finish=False)
        send(b"GET /slow-backend HTTP/1.0\r\n\r\n", finish=False)
        for _ in range(3):
            # Gone before the answer: 499.
            with socket.create_connection(("127.0.0.1", PORT), timeout=5) as connection:
                connection.sendall(b"GET /slow-backend HTTP/1.0\r\nUser-Agent: impatient\r\n\r\n")
                connection.settimeout(0.2)
                try:
                    connection.recv(1)
                except TimeoutError:
                    pass


main()
