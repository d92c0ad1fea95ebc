"""What is measured: a row for each kind of work, with its targets by kind of CPU.

A target is a ratio to the slim way; where nothing is compared, the most that the figure may be.
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
IMAGES = 2934             # for training, as many as flower_photos has in slim's split
STEPS, BATCH = 1000, 32
SLIM = ['--feature-cache', 'off', '--batch-norm', 'update']
SLIM_ENGINE = ['--engine', 'tensorflow', '--precision', 'float32']
HEADS = 'InceptionV3/Logits,InceptionV3/AuxLogits'
MANY, SMALL_SIDE = 100000, 107      # images, and their side in pixels where only their number matters

#: A command that has run. seconds: as a whole. said: what it printed. peak: resident MB at most.
Ran = collections.namedtuple('Ran', 'seconds said peak')


class Bench:
    """A folder with the material of the rows, made when first needed."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.environ.get('SLIMTUNE_TEST_DATA')
        if not self.data or not os.path.isdir(self.data):
            raise UserError('set SLIMTUNE_TEST_DATA to the folder of real images and weights')
        self._known = {}

    def path(self, *names):
        """A place in the bench's folder."""
        return os.path.join(self.folder, *names)

    def once(self, make, *arguments):
        """make(bench, *arguments), which is done when it is first asked for."""
        key = (make.__name__,) + arguments
        if key not in self._known:
            self._known[key] = make(self, *arguments)
        return self._known[key]

    def run(self, *words):
        """Runs slimtune: a Ran. UserError, with what it said, where it fails."""
        return self.command([os.path.join(BIN, 'slimtune')] + [str(word) for word in words])

    def command(self, words):
        """Runs a command: a Ran. It starts with nothing to be written to the disk but its own."""
        os.sync()
        begun = time.time()
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8', cwd=self.folder,
                                   env=dict(os.environ, SLIMTUNE_CACHE=self.path('cache'), PYTHONPATH=os.path.dirname(HERE)))
        said = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = status
        if status:
            raise UserError('%s failed:\n%s' % (' '.join(words), said))
        return Ran(time.time() - begun, said, usage.ru_maxrss / 1024)

    def weights(self, name):
        """A checkpoint of the real weights."""
        return os.path.join(self.data, 'weights', name)


# Material that several rows use

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
    shards = [dict(shard, name='%02d_%s' % (n, shard['name']), source=shard['name'])
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
    bench.run('train', *flags(bench, 'inception_v3', place), *SLIM, '--max_number_of_steps', 1, '--batch_size', 1, '--seed', 0,
              '--quiet')
    return place


def head_of_inception(bench, rate=0.001):
    """Trains both heads our way: a Ran."""
    return bench.run('train', *flags(bench, 'inception_v3', bench.path('head_%g' % rate), rate), *new_heads(bench),
                     '--max_number_of_steps', STEPS)


def slim_step(bench):
    """Seconds of a step that trains both heads the slim way."""
    return seconds_a_step(bench, *flags(bench, 'inception_v3', bench.path('slim_heads')), *new_heads(bench), *SLIM, *SLIM_ENGINE)


def fitted(bench):
    """A train folder of an inception_v3 that knows its training images, as a real net does, although its backbone is random:
    else every other answer would be close, and be computed twice."""
    place = bench.path('fitted')
    bench.run('train', *flags(bench, 'inception_v3', place, 0.006), *new_heads(bench), '--optimizer', 'adam', '--opt_epsilon',
              1e-8, '--max_number_of_steps', STEPS, '--seed', 0, '--quiet')
    return place


def exported(bench):
    """The fitted net, exported."""
    bench.run('export', bench.once(fitted), '--output-dir', bench.path('export'), '--quiet')
    return bench.path('export')


def flags(bench, net, train_dir, rate=0.001):
    """slim's flags for training a net on the flowers."""
    return ['--train_dir', train_dir, '--dataset_name', 'flowers', '--dataset_dir', bench.once(flowers), '--model_name', net,
            '--learning_rate', rate, '--learning_rate_decay_type', 'fixed']


def new_heads(bench):
    """slim's flags for training both heads of inception_v3 anew."""
    return ['--checkpoint_path', bench.once(inception), '--checkpoint_exclude_scopes', HEADS, '--trainable_scopes', HEADS]


def seconds_a_step(bench, *words):
    """The median of 20 steps' seconds, the first five left out."""
    said = bench.run('train', *words, '--max_number_of_steps', 20, '--log_every_n_steps', 1).said
    seconds = sorted(float(found) for found in re.findall(r'\(([\d.]+) sec/step\)', said)[5:])
    return seconds[len(seconds) // 2]


# The rows

@dataclasses.dataclass(frozen=True)
class Row:
    """work: in words. measure: Bench -> result. targets: {kind of CPU: ratio, or the most where nothing is compared}.

    runtime: the version of TensorFlow whose targets they are, '' for any.
    """
    work: str
    measure: object
    targets: dict
    runtime: str = ''

    def target(self, kind, runtime):
        """The target on this kind of CPU and version of TensorFlow, or None."""
        return self.targets.get(kind) if runtime.startswith(self.runtime) else None


def result(slim, ours, unit, note='', faster_is_more=False, ratio=True):
    """A row's result. slim, ours: figures, slim None where nothing is compared. ratio: whether one makes sense."""
    ratio = (ours / slim if faster_is_more else slim / ours) if ratio and slim is not None else None
    return {'slim': slim, 'ours': ours, 'unit': unit, 'ratio': ratio, 'note': note}


def convert(bench):
    """3670 flowers, every one decoded to prove that it is whole; slim's own converter decodes one after the other."""
    place = images.repeated(bench.data, bench.path('to_convert'), 3670)
    program = 'import sys; from benchmarks.slim_convert import convert; convert(sys.argv[1], sys.argv[2], int(sys.argv[3]))'
    one, two = (bench.command([sys.executable, '-c', program, os.path.join(place, 'train'), bench.path('slims.tfrecord'),
                               threads]).seconds for threads in '12')
    ours = bench.run('convert', place, '--quiet').seconds
    return result(one, ours, 's', "the slim way is that of slim's flowers, one thread; with the tutorial's two it takes %.2f s"
                  % two)


def head(bench):
    """The head of mobilenet_v1_025 with real weights."""
    ran, accuracy = zip(*(small_head(bench, name, bench.once(flowers), *more)
                          for name, more in (('slim_head', SLIM), ('our_head', []))))
    return result(ran[0].seconds, ran[1].seconds, 's', 'accuracy %.1f%% against %.1f%%' % accuracy[::-1])


def small_head(bench, name, place, *more):
    """Trains the head of mobilenet_v1_025 by slim's flags and tests it: (Ran, accuracy in percent)."""
    words = flags(bench, 'mobilenet_v1_025', bench.path(name), 0.01) + [
        '--dataset_dir', place, '--checkpoint_path', bench.weights('mobilenet_v1_0.25_128.ckpt'), '--checkpoint_exclude_scopes',
        'MobilenetV1/Logits', '--trainable_scopes', 'MobilenetV1/Logits', '--train_image_size', 128, '--optimizer', 'rmsprop']
    ran = bench.run('train', *words, '--max_number_of_steps', STEPS, *more)
    return ran, tested(bench, name)


def tested(bench, name):
    """The accuracy of a train folder on the validation images, in percent."""
    bench.run('eval', bench.path(name), '--quiet', *SLIM_ENGINE)
    with open(bench.path(name, 'eval', 'metrics.json'), encoding='utf-8') as f:
        return 100 * json.load(f)['accuracy']


def accuracy(bench):
    """Three seeds of slim's flags on 600 images, plain and on cached features; and what no flags give."""
    place = bench.path('real')
    shutil.copytree(os.path.join(bench.data, 'flowers'), place)
    bench.run('convert', place, '--dataset-name', 'flowers', '--quiet')
    ways = {'slim': SLIM, 'plain': ['--feature-cache', 'off'], 'cached': []}
    found = {way: [small_head(bench, '%s_%d' % (way, seed), place, '--seed', seed, *more)[1] for seed in range(3)]
             for way, more in ways.items()}
    default = []
    for net, weights, size in (('mobilenet_v1_025', 'mobilenet_v1_0.25_128', 128),
                               ('mobilenet_v1', 'mobilenet_v1_1.0_224_dequant_bncal', 224)):
        bench.run('train', place, '--model', net, '--train-image-size', size, '--checkpoint-path',
                  bench.weights(weights + '.ckpt'), '--train-dir', bench.path('default_' + net))
        default.append('%s %.1f%%' % (net, tested(bench, 'default_' + net)))
    mean = {way: sum(values) / len(values) for way, values in found.items()}
    return result(mean['slim'], mean['cached'], '%', '; '.join(
        ['%s: %s' % (way, ', '.join('%.1f' % value for value in values)) for way, values in found.items()]
        + ['the folder form alone: ' + ', '.join(default)]), ratio=False)


def inception_head(bench, rate=0.001):
    """The heads of inception_v3, both of them."""
    step, ours = bench.once(slim_step), bench.once(head_of_inception, rate)
    return result(step * STEPS, ours.seconds, 's', 'the slim way computed from %.2f s a step' % step)


def inception_all(bench):
    """Everything of inception_v3, the pipeline included; the slim way is that on TensorFlow 1.14."""
    words = lambda name: flags(bench, 'inception_v3', bench.path(name))
    slim = BATCH / seconds_a_step(bench, *words('all_slim'), *SLIM, *SLIM_ENGINE)
    try:
        ours = BATCH / seconds_a_step(bench, *words('all_ours'), '--precision', 'bfloat16')
    except UserError as e:
        if 'bfloat16' not in str(e):
            raise
        return result(slim, slim, 'images/s', 'no bfloat16 on this runtime or CPU', True, ratio=False)
    note, before = 'in float32 here %.2f' % slim, os.path.join(RESULTS, 'tensorflow-1.14.0.json')
    if os.path.isfile(before):
        with open(before, encoding='utf-8') as f:
            slim = json.load(f)['rows'].get('inception_all', {'slim': slim})['slim']
        note += '; the slim way as measured on TensorFlow 1.14'
    return result(slim, ours, 'images/s', note, True)


def idle(bench):
    """How long the training of everything waits for images."""
    ran = bench.command([sys.executable, '-m', 'benchmarks.idle', bench.once(flowers)])
    share, alone = map(float, ran.said.split()[-2:])
    return result(None, 100 * share, '% of a step', 'the pipeline alone gives %.0f images/s' % alone)


def evaluation(bench):
    """Evaluation of inception_v3, decoding and starting included."""
    words = ['eval', bench.once(fitted), '--dataset-split-name', 'train', '--dataset-dir', bench.once(flowers),
             '--dataset-name', 'flowers']
    slim = _whole(lambda batches: bench.run(*words, *SLIM_ENGINE, '--batch_size', BATCH, '--max-num-batches', batches).seconds,
                  BATCH, 8, IMAGES)
    ours = bench.run(*words)
    again = re.search(r'(\d+) of \d+ images were close', ours.said)
    return result(IMAGES / slim, IMAGES / ours.seconds, 'images/s', 'both from start to end, the slim way computed from 8 '
                  'batches; ours with its proof; %s images again in float32' % (again.group(1) if again else 'no'), True)


def first_answer(bench):
    """From typing to the first answer."""
    image = images.some(bench.data, 1)[0]
    seconds = sorted(bench.run('predict', bench.once(exported), image).seconds for _ in range(5))
    return result(None, seconds[2], 's')


def folder(bench):
    """A folder of 640 images."""
    place = os.path.join(images.repeated(bench.data, bench.path('folder'), 640), 'train')
    return _predicted(bench, place, sorted(os.path.join(path, name) for path, _, names in os.walk(place) for name in names))


def large(bench):
    """Images of 2560x1920."""
    paths = images.enlarged(bench.data, bench.path('large'), 48)
    whole = _predicted(bench, bench.path('large'), paths)
    half = bench.command([sys.executable, '-m', 'benchmarks.reduced', bench.data] + paths[:24]).said.strip().split('\n')[-1]
    return dict(whole, note='decoded whole, for at half the size %s' % half)


def _predicted(bench, place, paths):
    """predict, of files and of their folder, as a result."""
    slim = _whole(lambda part: bench.run('predict', bench.once(exported), '--csv', *SLIM_ENGINE, *paths[:16 * part]).seconds, 16,
                  min(len(paths) // 16, 12), len(paths))
    ours = bench.run('predict', bench.once(exported), place, '--csv').seconds
    return result(len(paths) / slim, len(paths) / ours, 'images/s', 'both from start to end', True)


def _whole(seconds, size, most, count):
    """The seconds of `count` images from start to end, from those of one part of `size` images and of `most` parts."""
    one, several = seconds(1), seconds(most)
    return one + (count / size - 1) * (several - one) / (most - 1)


def memory(bench):
    """Features of MANY images: what is resident, and what they take on the disk."""
    peaks, sizes = [], []
    for name, place in (('few', bench.once(flowers)), ('many', bench.once(many_flowers))):
        words = flags(bench, 'inception_v3', bench.path('memory_' + name)) + new_heads(bench)
        words[words.index(HEADS)] = words[-1] = 'InceptionV3/Logits'
        ran = bench.run('train', *words, '--dataset_dir', place, '--train_image_size', SMALL_SIDE, '--max_number_of_steps', 100)
        count, size = re.search(r'Features of (\d+) images: ([\d.]+) MB', ran.said).groups()
        peaks.append(ran.peak)
        sizes.append(float(size) * 1e6 / int(count) / 1024)
    return result(None, sizes[1], 'KiB an image', 'resident at most %.0f MB with %s images, %.0f MB with %d, features '
                  'included; images of %d pixels' % (peaks[1], count, peaks[0], IMAGES, SMALL_SIDE))


def help_text(bench):
    """slimtune --help; slim's scripts import TensorFlow first."""
    slim = min(bench.command([sys.executable, '-c', 'from slimtune.runtime import tf, slim']).seconds for _ in range(3))
    ours = min(bench.run('train', '--help').seconds for _ in range(3))
    return result(None, ours, 's', 'importing TensorFlow and tf_slim alone takes %.1f s' % slim)


def _everywhere(most):
    return {'amx': most, 'avx512_bf16': most, 'other': most}


ROWS = {
    'help': Row('slimtune train --help', help_text, _everywhere(0.3)),
    'convert': Row('convert 3670 flowers, all verified', convert, _everywhere(3)),
    'head': Row('head of mobilenet_v1_025, 128 px, %d images, %d steps, whole command' % (IMAGES, STEPS), head,
                {'amx': 10, 'avx512_bf16': 8}, '1.14'),
    'accuracy': Row('the same on 600 images, three seeds: right of 200, mean', accuracy, {}),
    'inception_head': Row('heads of inception_v3, %d steps, whole command' % STEPS, inception_head,
                          {'amx': 45, 'avx512_bf16': 22}, '1.14'),
    'inception_head_again': Row('the same with another rate, features cached', lambda bench: inception_head(bench, 0.002),
                                {'amx': 80, 'avx512_bf16': 80}, '1.14'),
    'inception_all': Row('inception_v3, everything, pipeline included', inception_all, {'amx': 6.3, 'avx512_bf16': 3.2}),
    'idle': Row('the same: waiting for images', idle, _everywhere(1)),
    'eval': Row('eval inception_v3, %d images' % IMAGES, evaluation, {'amx': 6.5, 'avx512_bf16': 2.2}),
    'predict_first': Row('predict: first answer of an exported inception_v3', first_answer, _everywhere(1)),
    'predict_folder': Row('predict a folder of 640, inception_v3', folder, {'amx': 6.5, 'avx512_bf16': 2.2}),
    'predict_large': Row('predict images of 2560x1920, inception_v3', large, {}),
    'memory': Row('features of %d images, Logits of inception_v3' % MANY, memory, _everywhere(8.01)),
}
