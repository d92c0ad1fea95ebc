"""Ordered work on threads, for what waits for the disk or decodes images: both release Python's lock."""
import collections
from concurrent.futures import ThreadPoolExecutor

from slimtune import machine


def in_order(function, items, threads=None, ahead=64, at_once=1, weight=None):
    """Yields function(item) for every item of a list, in their order.

    threads: by default one per core. ahead: how many results beyond the next one may be computed or wait,
    which is what memory holds of them. at_once: how many items make one task; more for small work. weight:
    function of an item; `ahead` is then the sum of what they weigh, and an item that weighs more waits until
    the others are done. What has not begun is dropped when the caller stops iterating.
    """
    tasks = (items[begin:begin + at_once] for begin in range(0, len(items), at_once))
    waiting, weights, in_work = collections.deque(), collections.deque(), 0
    with ThreadPoolExecutor(threads or machine.cores()) as pool:
        try:
            for task in tasks:
                waiting.append(pool.submit(lambda part: [function(item) for item in part], task))
                weights.append(sum(map(weight, task)) if weight else at_once)
                in_work += weights[-1]
                while in_work > ahead:
                    yield from waiting.popleft().result()
                    in_work -= weights.popleft()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for task in waiting:
                task.cancel()
