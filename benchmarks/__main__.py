"""Measures slimtune against the slim way, side by side on one machine: `make bench`, or `python -m benchmarks ROW …`.

The slim way is the whole net at every step, in float32 on TensorFlow, statistics updated. Times are those of whole commands.
Where the slim way takes too long to wait for, its steps are measured and the rest is computed, and the row says so. Writes
benchmarks/results/RUNTIME.md, .json and .png. SLIMTUNE_TEST_DATA names the folder of real images and weights.
"""
import json
import os
import sys
import tempfile

from benchmarks import plot, rows
from slimtune import cli, machine
from slimtune.errors import UserError
from slimtune.terminal import result, table


def main(names):
    """Measures the rows of these names, all of them without, and writes what came of it."""
    unknown = set(names).difference(rows.ROWS)
    if unknown:
        raise UserError('no row %s: there are %s' % (', '.join(sorted(unknown)), ', '.join(rows.ROWS)))
    flags, kind = cpu()
    runtime = machine.installed_version(*machine.PACKAGES['TensorFlow'])
    path = os.path.join(rows.RESULTS, 'tensorflow-' + runtime)
    targets = {name: row.target(kind, runtime) for name, row in rows.ROWS.items()}
    os.makedirs(rows.RESULTS, exist_ok=True)
    measured = load(path) if names else {}
    with tempfile.TemporaryDirectory() as folder:
        bench = rows.Bench(folder)
        for name, row in rows.ROWS.items():
            if not names or name in names:
                print('%s …' % name, flush=True)
                measured[name] = row.measure(bench)
                print('  ' + describe(measured[name], targets[name]), flush=True)
                with open(path + '.json', 'w', encoding='utf-8') as f:
                    json.dump({'cpu': flags, 'versions': cli.version(), 'rows': measured}, f, indent=1)
    measured = {name: measured[name] for name in rows.ROWS if name in measured}
    write(path, measured, targets, flags)
    plot.draw(path + '.png', measured, targets, cli.version())
    print('%s.md, .png' % path)


def cpu():
    """The CPU's flags that matter, and its kind, which chooses the targets."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            flags = f.read().split()
    except OSError:
        flags = []
    there = [flag for flag in ('amx_bf16', 'amx_int8', 'avx512_bf16', 'avx512f', 'avx2') if flag in flags]
    return there, 'amx' if 'amx_bf16' in there else 'avx512_bf16' if 'avx512_bf16' in there else 'other'


def load(path):
    """The rows of an earlier run, so that single rows can be measured anew."""
    if not os.path.isfile(path + '.json'):
        return {}
    with open(path + '.json', encoding='utf-8') as f:
        return json.load(f)['rows']


def describe(result, target):
    """A row's result as text: both figures, the ratio, and whether it reaches its target."""
    text = '%s against %s' % (figure(result['ours'], result['unit']), figure(result['slim'], result['unit']))
    if result['ratio']:
        text += ', %.1fx' % result['ratio']
    return text + ', ' + verdict(result, target) + ('; ' + result['note'] if result['note'] else '')


def figure(value, unit):
    """A measured figure with its unit, - for none."""
    return '-' if value is None else '%.3g %s' % (value, unit)


def verdict(result, target):
    """Whether the target is reached, and if not, by how much it is missed."""
    if target is None or result['slim'] is not None and result['ratio'] is None:
        return 'no target'
    if result['ratio'] is None:
        over = result['ours'] - target
        return 'at most %g %s: %s' % (target, result['unit'], 'reached' if over <= 0 else 'missed by %.2g' % over)
    reached = result['ratio'] >= target
    return 'target %gx %s' % (target, 'reached' if reached else 'missed: %.0f%% of it' % (100 * result['ratio'] / target))


def write(path, measured, targets, flags):
    """Writes the table for people."""
    lines = ['Measured on %s; %d cores, CPU flags: %s.' % (cli.version(), os.cpu_count(), ', '.join(flags) or 'none of these'),
             '',
             '| work | the slim way | slimtune | ratio | target | |', '|-|-|-|-|-|-|']
    for name, measurement in measured.items():
        row = rows.ROWS[name]
        lines.append('| %s | %s | %s | %s | %s | %s |' % (
            row.work, figure(measurement['slim'], measurement['unit']), figure(measurement['ours'], measurement['unit']),
            '%.1fx' % measurement['ratio'] if measurement['ratio'] else '-', verdict(measurement, targets[name]),
            measurement['note']))
    with open(path + '.md', 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')
    result(*table(['work', 'slim', 'slimtune', 'ratio'], [
        [rows.ROWS[name].work, figure(r['slim'], r['unit']), figure(r['ours'], r['unit']),
         '%.1fx' % r['ratio'] if r['ratio'] else '-'] for name, r in measured.items()]))


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except UserError as e:
        sys.exit('benchmarks: %s' % e)
