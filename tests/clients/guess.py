"""Guesses passwords by IMAP from an address of its own.

    guess.py FROM HOST PORT ADDRESS COUNT

So many at once; then one after another until one is not looked at, at most as many. Prints the last answer.
"""

import socket
import sys
import threading

FROM, HOST, PORT, ADDRESS, COUNT = sys.argv[1:6]


def guess(number):
    with socket.create_connection((HOST, int(PORT)), 60, (FROM, 0)) as connection:
        lines = connection.makefile("rwb")
        lines.readline()
        lines.write(f'a LOGIN {ADDRESS} "guess {number}"\r\n'.encode())
        lines.flush()
        return lines.readline().decode().strip()


threads = [threading.Thread(target=guess, args=(n,)) for n in range(int(COUNT))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for number in range(int(COUNT)):
    answer = guess(f"one more {number}")
    if "UNAVAILABLE" in answer:
        break
print(answer)
