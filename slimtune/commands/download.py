"""`slimtune download`: published weights, and published data sets as records that slimtune and slim read."""
from slimtune import options
from slimtune.checkpoints import published
from slimtune.commands.data_set import next_training
from slimtune.datasets import published_data
from slimtune.errors import UserError, nearest
from slimtune.images import published_set
from slimtune.nets import nets_factory
from slimtune.storage.cache import cache_folder
from slimtune.terminal import next_step, result, table


def run(request):
    """The command."""
    download_options = request[options.Download]
    name = download_options.dataset_name
    if not name:
        result(*overview(cache_folder(download_options.cache_dir)))
    elif name in published_data.names():
        next_training(published_set.download(download_options), published_data.release(name).first_net)
    elif name not in published.all_weights():
        raise _unknown(name)
    else:
        prefix, weights = published.download_weights(download_options), published.all_weights()[name]
        words = ['train', 'FOLDER', '--model', weights.net.name]
        if weights.image_size != weights.net.image_size:
            words += ['--train-image-size', str(weights.image_size)]
        # By itself, train looks in its own cache, for the weights of the net's own image size
        if name != weights.net.name or download_options.output_dir or download_options.cache_dir:
            words += ['--checkpoint-path', prefix]
        next_step(*words)


def overview(cache):
    """What can be downloaded, and what was: the lines of a table."""
    archives = {name: published_data.release(name).archives for name in published_data.names()}
    rows = [[name, 'data set', _megabytes(archives[name]) if archives[name] else 'bring its archives', '']
            for name in archives]
    rows += [[name, 'weights', _megabytes([weights.archive]), published.find_weights(name, cache) or '']
             for name, weights in published.all_weights().items()]
    return table(['name', 'type', 'MB', 'downloaded'], rows)


def _megabytes(archives):
    sizes = [archive.size for archive in archives]
    return '?' if None in sizes else f'{sum(sizes) / 1e6:.1f}'


def _unknown(name):
    if name in nets_factory.NETS:
        return UserError(f'nobody publishes weights of {name}: train it without --checkpoint-path')
    similar = nearest(name, published_data.names() + list(published.all_weights()))
    question = f'did you mean {" or ".join(similar)}? ' if similar else ''
    return UserError(f'nothing called {name} to download: {question}`slimtune download` lists what there is')
