"""The chart of a run: measured and targeted ratios to slim's way."""


def draw(path, measured, targets, title):
    """Writes a PNG. measured: {row: result}. targets: {row: ratio or None}."""
    import matplotlib
    matplotlib.use('Agg')
    from matplotlib import pyplot
    names = [name for name, result in measured.items() if result['ratio']]
    if not names:
        return
    figure, axes = pyplot.subplots(figsize=(9, 0.6 * len(names) + 1.5))
    axes.barh(names, [measured[name]['ratio'] for name in names], color='#4477aa', label='measured')
    targeted = [name for name in names if targets[name]]
    axes.plot([targets[name] for name in targeted], targeted, 'k|', markersize=22, label='target')
    axes.set_xscale('log')
    axes.set_xlabel('times as fast as slim\'s way')
    axes.set_title(title, fontsize=9)
    axes.invert_yaxis()
    axes.legend(loc='lower right')
    figure.tight_layout()
    figure.savefig(path, dpi=110)
