"""`slimtune download`: published weights, and published data sets as records that slimtune and slim read."""
from slimtune import options
from slimtune.checkpoints import published
from slimtune.errors import UserError, nearest
from slimtune.images import published_set
from slimtune.nets import nets_factory
from slimtune.storage.cache import cache_folder
from slimtune.terminal import next_step, result, table

#: data set: the net to try first.
DATA_SETS = {'mnist': 'lenet', 'cifar10': 'cifarnet', 'flowers': 'mobilenet_v1_025', 'imagenet': 'mobilenet_v1',
             'visualwakewords': 'mobilenet_v1_025'}


def run(request):
    """The command."""
    asked = request[options.Download]
    if not asked.dataset_name:
        result(*overview(cache_folder(asked.cache_dir)))
    elif asked.dataset_name in DATA_SETS:
        folder = published_set.data_set(asked)
        next_step('train', folder, '--model', DATA_SETS[asked.dataset_name])
    elif asked.dataset_name not in published.all_weights():
        raise _unknown(asked.dataset_name)
    else:
        prefix, weights = published.download_weights(asked), published.all_weights()[asked.dataset_name]
        words = ['train', 'FOLDER', '--model', weights.net.name]
        if weights.image_size != weights.net.image_size:
            words += ['--train-image-size', str(weights.image_size)]
        if asked.dataset_name != weights.net.name or asked.output_dir or asked.cache_dir:   # where train does not look
            words += ['--checkpoint-path', prefix]
        next_step(*words)


def overview(cache):
    """What there is to download, and what was."""
    rows = [[name, 'data set', 'bring its archives' if not published_set.published(name).archives else
             _megabytes(published_set.published(name).archives), ''] for name in DATA_SETS]
    rows += [[name, 'weights', _megabytes([weights.archive]), published.find_weights(name, cache) or '']
             for name, weights in published.all_weights().items()]
    return table(['name', 'what', 'MB', 'downloaded'], rows)


def _megabytes(published):
    sizes = [archive.size for archive in published]
    return '?' if None in sizes else '%.1f' % (sum(sizes) / 1e6)


def _unknown(name):
    if name in nets_factory.NETS:
        return UserError('nobody publishes weights of %s: train it without --checkpoint-path' % name)
    near = nearest(name, list(DATA_SETS) + list(published.all_weights()))
    return UserError('nothing called %s to download: %s`slimtune download` lists what there is' % (
        name, 'did you mean %s? ' % ' or '.join(near) if near else ''))
