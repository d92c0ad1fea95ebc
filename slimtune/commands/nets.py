"""`slimtune nets`: lists the nets, from their records."""
from slimtune.nets.nets_factory import NETS
from slimtune.terminal import next_step, result, say, table


def run(request):
    """The command."""
    result(*lines())
    sources = '; '.join(f"{source} ({', '.join(names)})" for source, names in accuracy_sources().items())
    say(f'Accuracy: top-1 / top-5 on ImageNet, in percent, as published: {sources}.')
    say('resnet_v2 has the preprocessing vgg, as in slim; its published weights were trained with inception '
        'at 299 pixels (--preprocessing-name inception --train-image-size 299).')
    next_step('download', 'inception_v3')


def lines():
    """The table, a list of lines: one net each."""
    return table(
        ['net', 'pixels', 'parameters', 'multiply-adds', 'preprocessing', 'accuracy', 'weights', 'head'],
        [[net.name, net.image_size, _millions(net.parameters), _millions(net.multiply_adds),
          net.preprocessing, _accuracy(net.accuracy), 'published' if net.weights else '-',
          ', '.join(net.head)]
         for net in NETS.values()])


def accuracy_sources():
    """{who published accuracies: [names of nets]}."""
    found = {}
    for net in NETS.values():
        if net.accuracy:
            found.setdefault(net.source, []).append(net.name)
    return found


def _millions(number):
    return f'{number / 1e6:.1f} M'


def _accuracy(shares):
    return ' / '.join('-' if share is None else f'{share:.1f}' for share in shares) if shares else '-'
