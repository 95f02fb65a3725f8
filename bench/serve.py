"""Load test of the HTTP service: requests a second and their latency, ours beside the same model behind plain torch.

    python -m bench.serve --items 100000 --dim 64 --clients 1,16

Every contender is the same FastAPI application in a process of its own, with known users asked one a request: with the
kernels, with plain torch (matrix product, mask, topk), and each without batches. Answers are compared first; then the
contenders take turns. Clients are coroutines in this process, each with a connection of its own. Bounded: so many
requests a round, or so many seconds, whichever comes first.

The floor of a request is what HTTP, JSON and validation cost: GET /health shows it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import uvicorn
from scipy.sparse import csr_array

from pyrec.data.synthetic import synthetic
from pyrec.models import MF, Recommender
from pyrec.serve import listen
from pyrec.serve.app import make_app
from pyrec.serve.batcher import Batcher

CONTENDERS = ("pyrec", "torch", "pyrec, no batches", "torch, no batches")
N = 10
COMPARED_USERS = 64
START_SECONDS = 300


class TorchMF(MF):
    """The same model, ranked by plain torch."""

    def _rank(
        self, queries: torch.Tensor, k: int, seen: csr_array | None, allowed: torch.Tensor | None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert allowed is None
        scores = queries @ self._item_vectors().T
        if seen is not None:
            rows = np.repeat(np.arange(len(queries)), np.diff(seen.indptr))
            scores[torch.from_numpy(rows), torch.from_numpy(seen.indices.astype(np.int64))] = -torch.inf
        best = scores.topk(k)
        return best.indices.int(), best.values


def serve(folder: Path, contender: str, listener: socket.socket, threads: int) -> None:
    """Serves one contender until the process is ended."""
    torch.set_num_threads(threads)
    if contender.endswith("no batches"):
        Batcher._take = lambda self: [self._waiting.pop(0)]
    model = Recommender.load(folder)
    if contender.startswith("torch"):
        model.__class__ = TorchMF
    uvicorn.Server(uvicorn.Config(make_app(model), log_level="warning", access_log=False)).run(
        sockets=[listener]
    )


@contextmanager
def served(folder: Path, threads: int) -> Iterator[dict[str, int]]:
    """Yields the port of each contender, all of them ready."""
    context = multiprocessing.get_context("spawn")
    processes, ports = [], {}
    try:
        for contender in CONTENDERS:
            with listen() as listener:
                ports[contender] = listener.getsockname()[1]
                process = context.Process(
                    target=serve, args=(folder, contender, listener, threads), daemon=True
                )
                process.start()
                processes.append(process)
        for port in ports.values():
            asyncio.run(asyncio.wait_for(ask(port, b"GET /health", None), START_SECONDS))
        yield ports
    finally:
        for process in processes:
            process.terminate()
            process.join()


async def ask(port: int, line: bytes, body: object) -> dict[str, object]:
    """One request on a connection of its own."""
    connection = await asyncio.open_connection("127.0.0.1", port)
    try:
        return json.loads(await exchange(connection, line, body))
    finally:
        connection[1].close()


async def exchange(
    connection: tuple[asyncio.StreamReader, asyncio.StreamWriter], line: bytes, body: object
) -> bytes:
    """Sends a request and reads the answer's body."""
    reader, writer = connection
    content = b"" if body is None else json.dumps(body).encode()
    head = b"%s HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    writer.write(head % (line, len(content)) + content)
    status, *headers = (await reader.readuntil(b"\r\n\r\n")).lower().split(b"\r\n")
    length = next(int(header[15:]) for header in headers if header.startswith(b"content-length:"))
    answer = await reader.readexactly(length)
    if b" 200 " not in status:
        raise RuntimeError(f"{status.decode()}: {answer.decode()}")
    return answer


async def load(port: int, users: list[int], clients: int, requests: int, seconds: float) -> list[float]:
    """Asks for users, one a request, from so many clients at once; the latency of each request, then the whole."""
    left, latencies, started = iter(users[:requests]), [], time.perf_counter()

    async def client() -> None:
        connection = await asyncio.open_connection("127.0.0.1", port)
        for user in left:
            begun = time.perf_counter()
            await exchange(connection, b"POST /recommend", {"users": [user], "n": N})
            latencies.append(time.perf_counter() - begun)
            if time.perf_counter() - started > seconds:
                break
        connection[1].close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return [*latencies, time.perf_counter() - started]


def compare(ports: dict[str, int], users: list[int]) -> None:
    """Fails unless all contenders give equal scores within rounding, and the same items but for swaps in it."""
    body = {"users": users[:COMPARED_USERS], "n": N}
    answers = {name: asyncio.run(ask(port, b"POST /recommend", body)) for name, port in ports.items()}
    ours = answers[CONTENDERS[0]]
    for name, theirs in answers.items():
        np.testing.assert_allclose(theirs["scores"], ours["scores"], rtol=1e-4, atol=1e-5, err_msg=name)
        share = (np.array(theirs["items"]) == np.array(ours["items"])).mean()
        assert share > 0.99, f"{name}: only {share:.2%} of the items are the same"


def main() -> None:
    """Runs the load test and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--users", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=64)
    parser.add_argument("--clients", default="1,16,64", help="clients at once")
    parser.add_argument("--requests", type=int, default=2_000, help="requests a round, at most")
    parser.add_argument("--seconds", type=float, default=20, help="of a round, at most")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads(), help="of a server's kernels")
    options = parser.parse_args()
    data = synthetic(options.users, options.items, interactions_per_user=20)
    users = np.random.default_rng(0).choice(data.user_ids, max(options.requests, COMPARED_USERS)).tolist()
    with TemporaryDirectory() as folder:
        MF(embedding_size=options.dim, epochs=1).fit(data).save(folder)
        with served(Path(folder), options.threads) as ports:
            compare(ports, users)
            print(
                f"{data.num_items:,} items, dim {options.dim}, {options.threads} threads, torch {torch.__version__}"
            )
            for clients in map(int, options.clients.split(",")):
                race(ports, users, clients, options)


def race(ports: dict[str, int], users: list[int], clients: int, options: argparse.Namespace) -> None:
    """Prints a line a contender: the median of its rounds, which are taken in turn."""
    rows: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ports}
    for turn in range(options.rounds):
        order = list(ports)[turn % len(ports) :] + list(ports)[: turn % len(ports)]
        for name in order:
            asyncio.run(load(ports[name], users, clients, clients, options.seconds))  # wakes its threads
            *each, whole = asyncio.run(load(ports[name], users, clients, options.requests, options.seconds))
            rows[name].append((len(each) / whole, *np.percentile(each, [50, 99])))
    for name, rounds in rows.items():
        rate, median, p99 = np.median(rounds, axis=0)
        print(
            f"{clients:3d} clients  {name:18s} {rate:8.0f} requests/s   p50 {1e3 * median:7.2f} ms   "
            f"p99 {1e3 * p99:7.2f} ms"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    main()
