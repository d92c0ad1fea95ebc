"""Measures slimtune against slim's way, side by side: `make bench`, or `python -m benchmarks ROW …`.

Slim's way: the whole net at every step, in float32 on TensorFlow, batch norm statistics updated. Times are
those of whole commands. Where slim's way would take too long, its steps are measured, the rest is computed,
and the row says so. SLIMTUNE_TEST_DATA names the folder of real images and weights.

Writes benchmarks/results/RUNTIME.md, .json and .png. `python -m benchmarks pages` measures nothing and writes
the pages from the stored figures.
"""
import glob
import json
import os
import sys
import tempfile

from benchmarks import plot, rows
from slimtune import cli, machine
from slimtune.errors import UserError
from slimtune.terminal import table


def main(names):
    """Measures the rows of these names (all without names) and writes the results."""
    if names == ['pages']:
        for path in sorted(glob.glob(os.path.join(rows.RESULTS, '*.json'))):
            write_page(path[:-len('.json')], load(path[:-len('.json')]))
        return
    unknown = set(names).difference(rows.ROWS)
    if unknown:
        raise UserError(f'no row {", ".join(sorted(unknown))}: the rows are {", ".join(rows.ROWS)}')
    tensorflow = machine.installed_version(*machine.PACKAGES['TensorFlow'])
    path = os.path.join(rows.RESULTS, f'tensorflow-{tensorflow}')
    os.makedirs(rows.RESULTS, exist_ok=True)
    measured = load(path)['rows'] if names else {}
    results = {'cpu': cpu_flags(), 'cores': machine.cores(), 'versions': cli.version(), 'rows': measured}
    with tempfile.TemporaryDirectory() as folder:
        bench = rows.Bench(folder)
        for name, row in rows.ROWS.items():
            if not names or name in names:
                print(f'{name} …', flush=True)
                measured[name] = row.measure(bench)
                print('  ' + describe(measured[name], targets_of(path, results)[name]), flush=True)
                with open(path + '.json', 'w', encoding='utf-8') as f:
                    json.dump(results, f, indent=1)
    write_page(path, results)
    cells = [row_cells(*row) for row in in_order(measured).items()]
    print('\n'.join(table(['work', 'slim', 'slimtune', 'ratio'], cells)))
    plot.draw(path + '.png', in_order(measured), targets_of(path, results), results['versions'])
    print(f'{path}.md, .png')


def cpu_flags():
    """The flags of this machine's CPU that matter for speed."""
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as f:
            flags = f.read().split()
    except OSError:
        flags = []
    return [flag for flag in ('amx_bf16', 'amx_int8', 'avx512_bf16', 'avx512f', 'avx2') if flag in flags]


def targets_of(path, results):
    """The target of each row on the CPU and the TensorFlow (in the path's name) of these results."""
    names = {'amx_bf16': 'amx', 'avx512_bf16': 'avx512_bf16'}
    cpu = next((name for flag, name in names.items() if flag in results['cpu']), 'other')
    return {name: row.target(cpu, path.rsplit('-', 1)[1]) for name, row in rows.ROWS.items()}


def load(path):
    """The results of an earlier run, so that single rows can be measured again."""
    if not os.path.isfile(path + '.json'):
        return {'rows': {}}
    with open(path + '.json', encoding='utf-8') as f:
        return json.load(f)


def in_order(measured):
    """The measured rows in the order of the table."""
    return {name: measured[name] for name in rows.ROWS if name in measured}


def describe(result, target):
    """A row's result as text: both figures, the ratio, and whether it reaches its target."""
    text = f"{figure(result['ours'], result['unit'])}, slim {figure(result['slim'], result['unit'])}"
    if result['ratio']:
        text += f", {result['ratio']:.1f}x"
    return f'{text}, target {verdict(result, target)}' + ('; ' + result['note'] if result['note'] else '')


def figure(value, unit):
    """A measured figure in three digits with its unit, - for none."""
    if value is None:
        return '-'
    digits = f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f'{value:.3g}'
    return digits + ('' if unit == '%' else ' ') + unit


def verdict(result, target):
    """The target and whether it is reached; - without one."""
    if target is None or result['slim'] is not None and result['ratio'] is None:
        return '-'
    if result['ratio'] is None:
        over = result['ours'] - target
        return f"at most {target:g} {result['unit']}: {'reached' if over <= 0 else f'missed by {over:.2g}'}"
    reached = result['ratio'] >= target
    return f'{target:g}x: ' + ('reached' if reached else f"missed ({result['ratio'] / target:.0%} of it)")


def row_cells(name, found):
    """A row's first cells: what is done, slim's figure, slimtune's, their ratio."""
    return [rows.ROWS[name].work, figure(found['slim'], found['unit']), figure(found['ours'], found['unit']),
            f"{found['ratio']:.1f}x" if found['ratio'] else '-']


def write_page(path, results):
    """Writes the table for people."""
    measured, targets = in_order(results['rows']), targets_of(path, results)
    name = os.path.basename(path)
    flags = ', '.join(results['cpu']) or 'none of interest'
    lines = [f'# {name}', '', f"{results['versions']}; {results['cores']} cores, CPU flags: {flags}.", '',
             "Slim's way is the whole net at every step, in float32 on TensorFlow, with updated batch norm",
             'statistics. Both were measured on the same machine in the same run, by `make bench`. Times are',
             'those of whole commands.',
             '', "| work | slim's way | slimtune | ratio | target | notes |", '|-|-|-|-|-|-|']
    lines += [f"| {' | '.join(row_cells(row, found))} | {verdict(found, targets[row])} | {found['note']} |"
              for row, found in measured.items()]
    lines += ['', f"![Ratio to slim's way]({name}.png)"]
    with open(path + '.md', 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')


if __name__ == '__main__':
    try:
        main(sys.argv[1:])
    except UserError as e:
        sys.exit(f'benchmarks: {e}')
