"""Work on many things at once, on threads: for what waits for the disk or decodes images, which Python's lock allows."""
import collections
import os
from concurrent.futures import ThreadPoolExecutor


def in_order(function, items, threads=None, ahead=64, at_once=1, weight=None):
    """Yields function(item) for every item of a list, in their order.

    threads: how many; as many as there are cores without. ahead: how many more than the one asked for may be worked on or
    wait, which is what memory holds of them. at_once: how many make one task; small work takes more. weight: function of
    an item; `ahead` is then the sum of what they weigh, and an item that weighs more waits until the others are done. What
    is not begun is dropped when the caller stops asking.
    """
    tasks = (items[begin:begin + at_once] for begin in range(0, len(items), at_once))
    waiting, weights = collections.deque(), collections.deque()
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(lambda part: [function(item) for item in part], task))
                weights.append(sum(map(weight, task)) if weight else at_once)
                while sum(weights) > ahead:
                    yield from waiting.popleft().result()
                    weights.popleft()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for task in waiting:
                task.cancel()
