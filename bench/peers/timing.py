"""How long one launch takes, from replays of a CUDA graph of many."""
import statistics
from collections import deque

import torch

from peers.contender import Launch

LAUNCHES = 20  # at least, in one graph
REPLAYS = 15
WARM_UP_REPLAYS = 2


def microseconds(launches: list[Launch]) -> dict:
    """Of one launch. The graph goes round all of `launches`, each of which has memory of its own."""
    for launch in launches[:2]:  # what is compiled or tuned at the first call is so before the capture
        launch()
    torch.cuda.synchronize()

    rounds = -(-LAUNCHES // len(launches))
    graph, held = torch.cuda.CUDAGraph(), deque(maxlen=len(launches))
    with torch.cuda.graph(graph):
        for _ in range(rounds):
            for launch in launches:
                held.append(launch())  # keeps outputs alive for one round, so that they rotate as the inputs do

    # Back to back, so that the host submits a graph while the one before it runs.
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(REPLAYS + 1)]
    for _ in range(WARM_UP_REPLAYS):
        graph.replay()
    marks[0].record()
    for mark in marks[1:]:
        graph.replay()
        mark.record()
    torch.cuda.synchronize()
    count = rounds * len(launches)
    times = [1e3 * start.elapsed_time(end) / count for start, end in zip(marks, marks[1:])]
    return {"us": statistics.median(times), "min_us": min(times), "max_us": max(times), "launches": count}
