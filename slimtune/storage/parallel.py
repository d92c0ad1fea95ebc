"""Work on many things at once, on threads: for what waits for the disk or decodes images, which Python's lock allows."""
import collections
import os
from concurrent.futures import ThreadPoolExecutor


def in_order(function, items, threads=None, ahead=64, at_once=1):
    """Yields function(item) for every item of a list, in their order.

    threads: how many; as many as there are cores without. ahead: how many more than the one asked for may be worked on or
    wait, which is what memory holds of them. at_once: how many make one task; small work takes more. What is not begun is
    dropped when the caller stops asking.
    """
    tasks = (items[begin:begin + at_once] for begin in range(0, len(items), at_once))
    waiting = collections.deque()
    with ThreadPoolExecutor(threads or os.cpu_count() or 1) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(lambda part: [function(item) for item in part], task))
                if len(waiting) * at_once > ahead:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for task in waiting:
                task.cancel()
