"""What is measured: one row for each type of work, with its targets by type of CPU.

A target is a ratio to slim's way; where nothing is compared, it is the upper limit of the figure.
"""
import collections
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time

from benchmarks import images
from slimtune.errors import UserError

BIN = os.path.dirname(sys.executable)
HERE = os.path.dirname(os.path.abspath(__file__))
RESULTS = os.path.join(HERE, 'results')
IMAGES = 2934             # for training: as many as flower_photos has in slim's training split
STEPS, BATCH = 1000, 32
SLIM = ['--feature-cache', 'off', '--batch-norm', 'update']
SLIM_ENGINE = ['--engine', 'tensorflow', '--precision', 'float32']
HEADS = 'InceptionV3/Logits,InceptionV3/AuxLogits'
MANY, SMALL_SIDE = 100000, 107      # images, and their side in pixels where only their number matters

#: A finished command. seconds: as a whole. output: what it printed. peak: resident memory at most, MB.
Finished = collections.namedtuple('Finished', 'seconds output peak')


class Bench:
    """A folder with the data sets and nets that the rows use, each made when it is first needed."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.environ.get('SLIMTUNE_TEST_DATA')
        if not self.data or not os.path.isdir(self.data):
            raise UserError('set SLIMTUNE_TEST_DATA to the folder of real images and weights')
        self._made = {}

    def path(self, *names):
        """A path in the bench's folder."""
        return os.path.join(self.folder, *names)

    def once(self, make, *arguments):
        """make(bench, *arguments), called once; later calls return the same value."""
        key = (make.__name__,) + arguments
        if key not in self._made:
            self._made[key] = make(self, *arguments)
        return self._made[key]

    def run(self, *words):
        """Runs slimtune: a Finished. Raises UserError with its output where it fails."""
        return self.command([os.path.join(BIN, 'slimtune')] + [str(word) for word in words])

    def command(self, words):
        """Runs a command: a Finished. Pending writes of earlier commands are flushed first."""
        os.sync()
        begun = time.time()
        env = dict(os.environ, SLIMTUNE_CACHE=self.path('cache'), PYTHONPATH=os.path.dirname(HERE))
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8',
                                   cwd=self.folder, env=env)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        if status:
            raise UserError(f'{" ".join(words)} failed:\n{output}')
        return Finished(time.time() - begun, output, usage.ru_maxrss / 1024)

    def weights(self, name):
        """A checkpoint of the real weights."""
        return os.path.join(self.data, 'weights', name)


# Data sets and nets that several rows use

def flowers(bench):
    """The folder with records of IMAGES training and the 200 real validation images."""
    place = images.repeated(bench.data, bench.path('flowers'), IMAGES)
    shutil.copytree(os.path.join(bench.data, 'flowers', 'validation'), os.path.join(place, 'validation'))
    bench.run('convert', place, '--quiet')
    return place


def many_flowers(bench):
    """The folder with records of MANY images: the shards of `flowers`, each linked as often as it takes."""
    place, source = bench.path('many'), bench.once(flowers)
    os.mkdir(place)
    with open(os.path.join(source, 'dataset.json'), encoding='utf-8') as f:
        manifest = json.load(f)
    train = manifest['splits']['train']
    times = -(-MANY // IMAGES)
    shards = [dict(shard, name=f"{n:02d}_{shard['name']}", source=shard['name'])
              for n in range(times) for shard in train['shards']]
    for shard in shards:
        os.link(os.path.join(source, shard.pop('source')), os.path.join(place, shard['name']))
    train.update(shards=shards, images=times * IMAGES, per_class=[times * n for n in train['per_class']])
    manifest['splits'] = {'train': train}
    with open(os.path.join(place, 'dataset.json'), 'w', encoding='utf-8') as f:
        json.dump(manifest, f)
    return place


def inception(bench):
    """A train folder of an inception_v3 with random weights and one step of training on flowers."""
    place = bench.path('inception')
    bench.run('train', *flags(bench, 'inception_v3', place), *SLIM, '--max_number_of_steps', 1,
              '--batch_size', 1, '--seed', 0, '--quiet')
    return place


def head_of_inception(bench, rate=0.001):
    """Trains both heads in slimtune's way: a Finished."""
    words = flags(bench, 'inception_v3', bench.path(f'head_{rate:g}'), rate) + new_heads(bench)
    return bench.run('train', *words, '--max_number_of_steps', STEPS)


def slim_step(bench):
    """Seconds per step of training both heads in slim's way."""
    words = flags(bench, 'inception_v3', bench.path('slim_heads')) + new_heads(bench)
    return seconds_per_step(bench, *words, *SLIM, *SLIM_ENGINE)


def fitted(bench):
    """A train folder of an inception_v3 that fits its training images, as a real net does, although its
    backbone is random. Otherwise half of the predictions would be near ties and be computed twice."""
    place = bench.path('fitted')
    bench.run('train', *flags(bench, 'inception_v3', place, 0.006), *new_heads(bench), '--optimizer', 'adam',
              '--opt_epsilon', 1e-8, '--max_number_of_steps', STEPS, '--seed', 0, '--quiet')
    return place


def exported(bench):
    """The fitted net, exported."""
    bench.run('export', bench.once(fitted), '--output-dir', bench.path('export'), '--quiet')
    return bench.path('export')


def flags(bench, net, train_dir, rate=0.001):
    """slim's flags for training a net on the flowers."""
    return ['--train_dir', train_dir, '--dataset_name', 'flowers', '--dataset_dir', bench.once(flowers),
            '--model_name', net, '--learning_rate', rate, '--learning_rate_decay_type', 'fixed']


def new_heads(bench):
    """slim's flags for training new heads of inception_v3."""
    return ['--checkpoint_path', bench.once(inception), '--checkpoint_exclude_scopes', HEADS,
            '--trainable_scopes', HEADS]


def seconds_per_step(bench, *words):
    """The median seconds of the last 15 of 20 steps."""
    output = bench.run('train', *words, '--max_number_of_steps', 20, '--log_every_n_steps', 1).output
    seconds = sorted(float(found) for found in re.findall(r'\(([\d.]+) sec/step\)', output)[5:])
    return seconds[len(seconds) // 2]


# The rows

@dataclasses.dataclass(frozen=True)
class Row:
    """work: what is done. measure: Bench -> result. targets: {type of CPU: ratio, or the upper limit}.

    runtime: the version of TensorFlow that the targets are for, '' for any.
    """
    work: str
    measure: object
    targets: dict
    runtime: str = ''

    def target(self, kind, runtime):
        """The target on this type of CPU and version of TensorFlow, or None."""
        return self.targets.get(kind) if runtime.startswith(self.runtime) else None


def result(slim, ours, unit, note='', faster_is_more=False, ratio=True):
    """A row's result. slim, ours: figures; slim is None where nothing is compared."""
    ratio = (ours / slim if faster_is_more else slim / ours) if ratio and slim is not None else None
    return {'slim': slim, 'ours': ours, 'unit': unit, 'ratio': ratio, 'note': note}


def convert(bench):
    """3670 flowers, each one decoded to verify it; slim's own converter decodes one after the other."""
    place = images.repeated(bench.data, bench.path('to_convert'), 3670)
    program = ('import sys; from benchmarks.slim_convert import convert; '
               'convert(sys.argv[1], sys.argv[2], int(sys.argv[3]))')
    words = [sys.executable, '-c', program, os.path.join(place, 'train'), bench.path('slims.tfrecord')]
    one, two = (bench.command(words + [threads]).seconds for threads in '12')
    ours = bench.run('convert', place, '--quiet').seconds
    note = f"slim's flowers converter, one thread; with two, as in the tutorial, {two:.2f} s"
    return result(one, ours, 's', note)


def head(bench):
    """The head of mobilenet_v1_025 with real weights."""
    runs, accuracy = zip(*(small_head(bench, name, bench.once(flowers), *more)
                           for name, more in (('slim_head', SLIM), ('our_head', []))))
    note = f'accuracy {accuracy[1]:.1f}%, slim {accuracy[0]:.1f}%'
    return result(runs[0].seconds, runs[1].seconds, 's', note)


def small_head(bench, name, place, *more):
    """Trains the head of mobilenet_v1_025 with slim's flags and evaluates it: (Finished, accuracy in %)."""
    words = flags(bench, 'mobilenet_v1_025', bench.path(name), 0.01) + [
        '--dataset_dir', place, '--checkpoint_path', bench.weights('mobilenet_v1_0.25_128.ckpt'),
        '--checkpoint_exclude_scopes', 'MobilenetV1/Logits', '--trainable_scopes', 'MobilenetV1/Logits',
        '--train_image_size', 128, '--optimizer', 'rmsprop']
    finished = bench.run('train', *words, '--max_number_of_steps', STEPS, *more)
    return finished, evaluated(bench, name)


def evaluated(bench, name):
    """The accuracy of a train folder on the validation images, in percent."""
    bench.run('eval', bench.path(name), '--quiet', *SLIM_ENGINE)
    with open(bench.path(name, 'eval', 'metrics.json'), encoding='utf-8') as f:
        return 100 * json.load(f)['accuracy']


def accuracy(bench):
    """Three seeds with slim's flags on 600 images, with and without cached features; slimtune's defaults."""
    place = bench.path('real')
    shutil.copytree(os.path.join(bench.data, 'flowers'), place)
    bench.run('convert', place, '--dataset-name', 'flowers', '--quiet')
    ways = {'slim': SLIM, 'without cached features': ['--feature-cache', 'off'], 'with them': []}
    found = {way: [small_head(bench, f'{way.split()[0]}_{seed}', place, '--seed', seed, *more)[1]
                   for seed in range(3)] for way, more in ways.items()}
    default = []
    for net, weights, size in (('mobilenet_v1_025', 'mobilenet_v1_0.25_128', 128),
                               ('mobilenet_v1', 'mobilenet_v1_1.0_224_dequant_bncal', 224)):
        bench.run('train', place, '--model', net, '--train-image-size', size, '--checkpoint-path',
                  bench.weights(weights + '.ckpt'), '--train-dir', bench.path('default_' + net))
        default.append(f"{net} {evaluated(bench, 'default_' + net):.1f}%")
    mean = {way: sum(values) / len(values) for way, values in found.items()}
    seeds = [f'{way}: ' + ', '.join(f'{value:.1f}' for value in values) for way, values in found.items()]
    return result(mean['slim'], mean['with them'], '%', '; '.join(
        seeds + ["slimtune's defaults: " + ', '.join(default)]), ratio=False)


def inception_head(bench, rate=0.001):
    """Both heads of inception_v3."""
    step, ours = bench.once(slim_step), bench.once(head_of_inception, rate)
    return result(step * STEPS, ours.seconds, 's', f'slim computed from {step:.2f} s per step')


def inception_all(bench):
    """Everything of inception_v3, the pipeline included; slim's way is that on TensorFlow 1.14."""
    words = lambda name: flags(bench, 'inception_v3', bench.path(name))
    slim = BATCH / seconds_per_step(bench, *words('all_slim'), *SLIM, *SLIM_ENGINE)
    try:
        ours = BATCH / seconds_per_step(bench, *words('all_ours'), '--precision', 'bfloat16')
    except UserError as e:
        if 'bfloat16' not in str(e):
            raise
        return result(slim, slim, 'images/s', 'no bfloat16 on this runtime or CPU', True, ratio=False)
    note, before = f'slimtune in float32: {slim:.2f}', os.path.join(RESULTS, 'tensorflow-1.14.0.json')
    if os.path.isfile(before):
        with open(before, encoding='utf-8') as f:
            slim = json.load(f)['rows'].get('inception_all', {'slim': slim})['slim']
        note += '; slim measured on TensorFlow 1.14'
    return result(slim, ours, 'images/s', note, True)


def idle(bench):
    """How long the training of everything waits for images."""
    finished = bench.command([sys.executable, '-m', 'benchmarks.idle', bench.once(flowers)])
    share, alone = map(float, finished.output.split()[-2:])
    return result(None, 100 * share, '% of a step', f'the input pipeline alone: {alone:.0f} images/s')


def evaluation(bench):
    """Evaluation of inception_v3, decoding and starting included."""
    words = ['eval', bench.once(fitted), '--dataset-split-name', 'train',
             '--dataset-dir', bench.once(flowers), '--dataset-name', 'flowers']
    words_of_slim = words + SLIM_ENGINE + ['--batch_size', BATCH, '--max-num-batches']
    slim = _whole(lambda batches: bench.run(*words_of_slim, batches).seconds, BATCH, 8, IMAGES)
    ours = bench.run(*words)
    recomputed = re.search(r'(\d+) of \d+ images were close', ours.output)
    note = ('whole commands, slim computed from 8 batches; slimtune with its agreement check and '
            f"{recomputed.group(1) if recomputed else 'no'} images recomputed in float32")
    return result(IMAGES / slim, IMAGES / ours.seconds, 'images/s', note, True)


def first_prediction(bench):
    """From typing the command to the first prediction."""
    image = images.some(bench.data, 1)[0]
    seconds = sorted(bench.run('predict', bench.once(exported), image).seconds for _ in range(5))
    return result(None, seconds[2], 's')


def folder(bench):
    """A folder of 640 images."""
    place = os.path.join(images.repeated(bench.data, bench.path('folder'), 640), 'train')
    paths = sorted(os.path.join(path, name) for path, _, names in os.walk(place) for name in names)
    return _predicted(bench, place, paths)


def large(bench):
    """Images of 2560x1920."""
    paths = images.enlarged(bench.data, bench.path('large'), 48)
    whole = _predicted(bench, bench.path('large'), paths)
    half = bench.command([sys.executable, '-m', 'benchmarks.reduced', bench.data] + paths[:24]).output
    return dict(whole, note='images are decoded at full size: ' + half.strip().split('\n')[-1])


def _predicted(bench, place, paths):
    """predict, of files and of their folder, as a result."""
    words = ['predict', bench.once(exported), '--csv'] + SLIM_ENGINE
    slim = _whole(lambda part: bench.run(*words, *paths[:16 * part]).seconds, 16,
                  min(len(paths) // 16, 12), len(paths))
    ours = bench.run('predict', bench.once(exported), place, '--csv').seconds
    return result(len(paths) / slim, len(paths) / ours, 'images/s', 'whole commands', True)


def _whole(seconds, size, most, count):
    """The seconds for `count` images, from the time of one part of `size` images and of `most` parts."""
    one, several = seconds(1), seconds(most)
    return one + (count / size - 1) * (several - one) / (most - 1)


def memory(bench):
    """Features of MANY images: peak memory, and their size on the disk."""
    peaks, sizes = [], []
    for name, place in (('few', bench.once(flowers)), ('many', bench.once(many_flowers))):
        words = flags(bench, 'inception_v3', bench.path('memory_' + name)) + new_heads(bench)
        words[words.index(HEADS)] = words[-1] = 'InceptionV3/Logits'
        words += ['--dataset_dir', place, '--train_image_size', SMALL_SIDE, '--max_number_of_steps', 100]
        finished = bench.run('train', *words)
        count, size = re.search(r'Features of (\d+) images: ([\d.]+) MB', finished.output).groups()
        peaks.append(finished.peak)
        sizes.append(float(size) * 1e6 / int(count) / 1024)
    note = (f'peak memory {peaks[1]:.0f} MB with {count} images, {peaks[0]:.0f} MB with {IMAGES}, '
            f'features included; {SMALL_SIDE}-pixel images')
    return result(None, sizes[1], 'KiB per image', note)


def help_text(bench):
    """slimtune --help; slim's scripts import TensorFlow first."""
    importing = [sys.executable, '-c', 'from slimtune.runtime import tf, slim']
    slim = min(bench.command(importing).seconds for _ in range(3))
    ours = min(bench.run('train', '--help').seconds for _ in range(3))
    return result(None, ours, 's', f'importing TensorFlow and tf_slim alone takes {slim:.1f} s')


def _everywhere(most):
    return {'amx': most, 'avx512_bf16': most, 'other': most}


ROWS = {
    'help': Row('slimtune train --help', help_text, _everywhere(0.3)),
    'convert': Row('convert 3,670 images, each one verified', convert, _everywhere(3)),
    'head': Row('train the head of mobilenet_v1_025 (128 px), 2,934 images, 1,000 steps', head,
                {'amx': 10, 'avx512_bf16': 8}, '1.14'),
    'accuracy': Row('its accuracy after 600 images, mean of three seeds', accuracy, {}),
    'inception_head': Row('train both heads of inception_v3, 2,934 images, 1,000 steps', inception_head,
                          {'amx': 45, 'avx512_bf16': 22}, '1.14'),
    'inception_head_again': Row('the same again with another learning rate, features cached',
                                lambda bench: inception_head(bench, 0.002), {'amx': 80, 'avx512_bf16': 80},
                                '1.14'),
    'inception_all': Row('train all of inception_v3, input pipeline included', inception_all,
                         {'amx': 6.3, 'avx512_bf16': 3.2}),
    'idle': Row('part of a step in which it waits for images', idle, _everywhere(1)),
    'eval': Row('evaluate inception_v3 on 2,934 images', evaluation, {'amx': 6.5, 'avx512_bf16': 2.2}),
    'predict_first': Row('the first prediction of an exported inception_v3', first_prediction,
                         _everywhere(1)),
    'predict_folder': Row('predict a folder of 640 images, inception_v3', folder,
                          {'amx': 6.5, 'avx512_bf16': 2.2}),
    'predict_large': Row('predict images of 2560x1920 pixels, inception_v3', large, {}),
    'memory': Row('features of 100,000 images (Logits of inception_v3), disk space', memory,
                  _everywhere(8.01)),
}
