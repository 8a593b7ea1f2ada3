"""Puts a server further away: passes connections on, each piece of data later by half of the round trip. A program:

    relay.py HOST PORT MILLISECONDS        prints its own port on 127.0.0.1; ends when standard input closes
"""

import asyncio
import os
import sys

HOST, PORT, DELAY = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]) / 2000


async def main():
    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    os._exit(0)  # connections that are still open have nobody left to serve


async def relay(reader, writer):
    try:
        far_reader, far_writer = await asyncio.open_connection(HOST, PORT)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pass_on(reader, far_writer), pass_on(far_reader, writer), return_exceptions=True)


async def pass_on(reader, writer):
    """In order, and many pieces under way at once, as on a long line."""
    loop, under_way = asyncio.get_running_loop(), asyncio.Queue(maxsize=256)

    async def deliver():
        while (piece := await under_way.get()) is not None:
            due, data = piece
            await asyncio.sleep(due - loop.time())
            writer.write(data)
            await writer.drain()
        writer.close()

    delivering = asyncio.create_task(deliver())
    try:
        while data := await reader.read(1 << 16):
            await under_way.put((loop.time() + DELAY, data))
    except ConnectionError:
        pass
    await under_way.put(None)
    await delivering


asyncio.run(main())
