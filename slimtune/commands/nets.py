"""`slimtune nets`: lists the nets, from their records."""
from slimtune.nets.nets_factory import NETS
from slimtune.terminal import next_step, result, say, table


def run(request):
    """The command."""
    result(*lines())
    say('Accuracy: ImageNet, best and among the best five, in percent, as published: %s.'
        % '; '.join('%s (%s)' % (source, ', '.join(nets)) for source, nets in sources().items()))
    say('resnet_v2 is prepared as vgg, as slim has it; its published weights were trained with inception at 299 pixels '
        '(--preprocessing-name inception --train-image-size 299).')
    next_step('download', 'inception_v3')


def lines():
    """The table."""
    return table(
        ['net', 'pixels', 'parameters', 'multiply-adds', 'preprocessing', 'accuracy', 'weights', 'head'],
        [[net.name, net.image_size, _millions(net.parameters), _millions(net.multiply_adds), net.preprocessing,
          _accuracy(net.accuracy), 'published' if net.weights else '-', ', '.join(net.head)]
         for net in NETS.values()])


def sources():
    """{who published an accuracy: [names of nets]}."""
    found = {}
    for net in NETS.values():
        if net.accuracy:
            found.setdefault(net.source, []).append(net.name)
    return found


def _millions(number):
    return '-' if number is None else '%.1f M' % (number / 1e6)


def _accuracy(shares):
    return '-' if not shares else ' / '.join('-' if share is None else '%.1f' % share for share in shares)
