"""Backends that say their name and then give back what they get, and clients that stay: thousands of each in one thread."""
import asyncio
import socket
import struct
import threading

import lib
import server


class World:
    """An event loop in a thread of its own; its sockets are made in the namespace."""
    def __init__(self, ns):
        self.ns = ns
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.servers = {}
        self.clients = []  # all that are open: a client that nobody holds any more would be closed by Python

    def do(self, coroutine, seconds=30):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)

    def socket(self, address, kind=socket.SOCK_STREAM):
        with server.inside(self.ns):
            s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, kind)
        s.setblocking(False)
        return s

    # ---- Backends
    def serve(self, name, address, port):
        s = self.socket(address)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((address, port))
        s.listen(2048)
        backend = {"socket": s, "open": set()}
        self.servers[name] = backend

        async def one(reader, writer):
            backend["open"].add(writer)
            try:
                writer.write(f"{name}\n".encode())
                while piece := await reader.read(65536):
                    writer.write(piece)
                    await writer.drain()
            except OSError:
                pass
            finally:
                backend["open"].discard(writer)
                writer.close()

        async def start():
            backend["server"] = await asyncio.start_server(one, sock=s)
        self.do(start())

    def die(self, name):
        """As a machine that loses the process: the port refuses, what is open is reset."""
        backend = self.servers.pop(name)

        async def stop():
            backend["server"].close()
            for w in list(backend["open"]):
                w.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                w.transport.abort()
        self.do(stop())

    # ---- Clients
    def open(self, address, count=1, port=80, patience=10):
        """So many clients, at most a hundred opening at once: [(backend's name, reader, writer)]; None for one that failed."""
        gate = None

        async def one():
            async with gate:
                s, writer = self.socket(address), None
                try:
                    await asyncio.wait_for(self.loop.sock_connect(s, (address, port)), patience)
                    reader, writer = await asyncio.open_connection(sock=s)
                    name = await asyncio.wait_for(reader.readline(), 10)
                    if name:
                        return (name.decode().strip(), reader, writer)
                except (OSError, asyncio.TimeoutError):
                    pass
                # The socket is the transport's once there is one: closed beneath it, its number would be another's.
                writer.transport.abort() if writer else s.close()
                return None

        async def all_of_them():
            nonlocal gate
            gate = asyncio.Semaphore(100)
            return await asyncio.gather(*[one() for _ in range(count)])
        opened = self.do(all_of_them(), 60)
        self.clients += [c for c in opened if c]
        return opened

    def alive(self, clients):
        """How many of them get back what they say."""
        async def one(reader, writer, word):
            try:
                writer.write(word)
                return await asyncio.wait_for(reader.readexactly(len(word)), 15) == word
            except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError):
                return False

        async def all_of_them():
            return sum(await asyncio.gather(*[one(r, w, f"hello {i} ".encode() * 20)
                                              for i, (_, r, w) in enumerate(clients)]))
        return self.do(all_of_them(), 60)

    def close_all(self):
        """Some at a time: a burst of segments that overruns the port's ring would be a test of something else."""
        async def all_of_them():
            while self.clients:
                for _, _, w in self.clients[:50]:
                    w.close()
                del self.clients[:50]
                await asyncio.sleep(0.02)
        self.do(all_of_them())

    def end(self):
        for name in list(self.servers):
            self.die(name)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(5)
        lib.check(not self.thread.is_alive(), "the loop of the test does not end")
