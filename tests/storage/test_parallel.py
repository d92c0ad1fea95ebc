"""Work on threads: in order, no further ahead than said, and no more of it than asked for."""
import threading
import time

import pytest

from slimtune.storage.parallel import in_order


@pytest.mark.parametrize('at_once', [1, 3, 50])
def test_results_come_in_the_order_of_the_items_from_several_threads(at_once):
    def work(n):
        time.sleep(0.02 if n % 2 else 0)
        return n, threading.get_ident()

    numbers, threads = zip(*in_order(work, list(range(20)), threads=4, at_once=at_once))
    assert numbers == tuple(range(20))
    assert threading.get_ident() not in threads and (len(set(threads)) > 1) == (at_once < 20)


def test_nothing_is_worked_on_further_ahead_than_said():
    begun = []
    results = in_order(begun.append, list(range(100)), threads=2, ahead=10, at_once=2)
    next(results)
    time.sleep(0.2)
    assert 0 < len(begun) <= 12, 'the two that were asked for, and ten'
    assert len(list(results)) == 99 and sorted(begun) == list(range(100))


def test_heavy_items_are_worked_on_one_at_a_time_and_light_ones_together():
    """Weights up to the limit of 10, the results that wait included; an item of 12 alone."""
    weights, lock, held, most = [1] * 30 + [12, 12] + [5] * 6 + [12], threading.Lock(), [0], [0, 0]

    def work(weight):
        with lock:
            held[0] += weight
            most[weight == 12] = max(most[weight == 12], held[0])
        time.sleep(0.005)
        return weight

    done = []
    for weight in in_order(work, weights, threads=8, ahead=10, weight=lambda weight: weight):
        with lock:
            held[0] -= weight
        done.append(weight)
    assert done == weights
    assert 5 < most[0] <= 10 + 5 and most[1] <= 10 + 12 and held == [0]


def test_what_is_not_begun_is_dropped_when_nobody_asks_any_more():
    begun = []

    def work(n):
        begun.append(n)
        time.sleep(0.05)

    results = in_order(work, list(range(100)), threads=1, ahead=50)
    next(results)
    results.close()
    assert len(begun) < 25


def test_an_error_reaches_the_caller_in_its_place():
    results = in_order(lambda n: 1 // (3 - n), list(range(5)), threads=2)
    assert [next(results) for _ in range(3)] == [0, 0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_items_no_threads():
    assert list(in_order(None, [])) == []
