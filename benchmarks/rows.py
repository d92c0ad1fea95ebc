"""What is measured: a row for each kind of work, with its targets by kind of CPU (ratios; seconds for what answers at once)."""
import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time

from slimtune.errors import UserError

BIN = os.path.dirname(sys.executable)
PICTURES = 2934             # for training, as many as flower_photos has in slim's split
STEPS, BATCH = 1000, 32
SLIM = ['--feature-cache', 'off', '--batch-norm', 'update']
SLIM_ENGINE = ['--engine', 'tensorflow', '--precision', 'float32']


class Bench:
    """A folder with the material of the rows, made when first needed."""

    def __init__(self, folder):
        self.folder = folder
        self.data = os.environ.get('SLIMTUNE_TEST_DATA')
        if not self.data or not os.path.isdir(self.data):
            raise UserError('set SLIMTUNE_TEST_DATA to the folder of real pictures and weights')

    def path(self, *names):
        """A place in the bench's folder."""
        return os.path.join(self.folder, *names)

    def run(self, *words, **environment):
        """Runs slimtune; returns (seconds, what it printed). Fails where it fails."""
        begun = time.time()
        process = subprocess.run([os.path.join(BIN, 'slimtune')] + [str(word) for word in words], cwd=self.folder,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding='utf-8',
                                 env=dict(os.environ, SLIMTUNE_CACHE=self.path('cache'), **environment))
        if process.returncode:
            raise UserError('slimtune %s failed:\n%s' % (' '.join(map(str, words)), process.stdout))
        return time.time() - begun, process.stdout

    def pictures(self, name, count, folder='train'):
        """A folder of `count` flowers with class folders, the real ones repeated."""
        place = self.path(name)
        if not os.path.isdir(place):
            source = os.path.join(self.data, 'flowers', folder)
            every = sorted((kind, file) for kind in os.listdir(source) for file in os.listdir(os.path.join(source, kind)))
            for number in range(count):
                kind, file = every[number % len(every)]
                target = os.path.join(place, folder, kind)
                os.makedirs(target, exist_ok=True)
                with open(os.path.join(source, kind, file), 'rb') as f:
                    encoded = f.read()
                # Behind the end of a JPEG nothing is read: each copy is a file of its own.
                with open(os.path.join(target, '%05d_%s' % (number, file)), 'wb') as f:
                    f.write(encoded + b'%d' % number)
        return place

    def flowers(self):
        """Records of PICTURES training and the 200 real validation pictures, in the folder this returns."""
        place = self.path('flowers')
        if not os.path.isfile(os.path.join(place, 'dataset.json')):
            self.pictures('flowers', PICTURES)
            shutil.copytree(os.path.join(self.data, 'flowers', 'validation'), os.path.join(place, 'validation'))
            self.run('convert', place, '--quiet')
        return place

    def inception(self):
        """A train folder of an inception_v3 with random weights and one step of training on flowers."""
        place = self.path('inception')
        if not os.path.isdir(place):
            self.run('train', *self.flags('inception_v3', place), *SLIM, '--max_number_of_steps', 1, '--batch_size', 1,
                     '--quiet')
        return place

    def flags(self, net, train_dir):
        """slim's flags for training a net on the flowers."""
        place = self.flowers()
        return ['--train_dir', train_dir, '--dataset_name', 'flowers', '--dataset_dir', place, '--model_name', net,
                '--learning_rate', 0.001, '--learning_rate_decay_type', 'fixed', '--log_every_n_steps', 10]

    def steps(self, *words):
        """Trains a few steps; returns the median seconds of a step, the first ones left out."""
        _, said = self.run(*words)
        seconds = sorted(float(found) for found in re.findall(r'\(([\d.]+) sec/step\)', said)[1:])
        return seconds[len(seconds) // 2]


@dataclasses.dataclass(frozen=True)
class Row:
    """work: in words. measure: Bench -> result. targets: {kind of CPU: ratio, or seconds where nothing is compared}."""
    work: str
    measure: object
    targets: dict


def result(slim, ours, unit, note='', faster_is_more=False):
    """A row's result. slim, ours: figures, slim None where nothing is compared."""
    ratio = None if slim is None else (ours / slim if faster_is_more else slim / ours)
    return {'slim': slim, 'ours': ours, 'unit': unit, 'ratio': ratio, 'note': note}


def convert(bench):
    """3670 flowers, every one decoded to prove that it is whole; the slim way decodes in TensorFlow, two threads."""
    place = bench.pictures('to_convert', 3670)
    program = 'import sys; from benchmarks.slim_convert import convert; convert(*sys.argv[1:])'
    slim = _seconds([sys.executable, '-c', program, os.path.join(place, 'train'), bench.path('slims.tfrecord')])
    ours, _ = bench.run('convert', place, '--quiet')
    return result(slim, ours, 's')


def head(bench):
    """The head of mobilenet_v1_025 with real weights."""
    weights = os.path.join(bench.data, 'weights', 'mobilenet_v1_0.25_128.ckpt')
    words = ['--checkpoint_path', weights, '--checkpoint_exclude_scopes', 'MobilenetV1/Logits', '--trainable_scopes',
             'MobilenetV1/Logits', '--train_image_size', 128, '--optimizer', 'rmsprop', '--max_number_of_steps', STEPS]
    taken, accuracy = [], []
    for name, more in (('slim_head', SLIM), ('our_head', [])):
        flags = bench.flags('mobilenet_v1_025', bench.path(name))
        flags[flags.index(0.001)] = 0.01
        taken.append(bench.run('train', *flags, *words, *more)[0])
        bench.run('eval', bench.path(name), '--quiet', *SLIM_ENGINE)
        with open(bench.path(name, 'eval', 'metrics.json'), encoding='utf-8') as f:
            accuracy.append(100 * json.load(f)['accuracy'])
    return result(taken[0], taken[1], 's', 'accuracy %.1f%% against %.1f%%' % (accuracy[1], accuracy[0]))


def inception_head(bench, rate=0.001):
    """The heads of inception_v3, both of them."""
    scopes = 'InceptionV3/Logits,InceptionV3/AuxLogits'
    words = ['--checkpoint_path', bench.inception(), '--checkpoint_exclude_scopes', scopes, '--trainable_scopes', scopes]
    train_dir = bench.path('head_%g' % rate)
    flags = bench.flags('inception_v3', train_dir)
    flags[flags.index(0.001)] = rate
    step = bench.steps('train', *bench.flags('inception_v3', bench.path('slim_%g' % rate)), *words, *SLIM,
                       '--max_number_of_steps', 40)
    ours, _ = bench.run('train', *flags, *words, '--max_number_of_steps', STEPS)
    return result(step * STEPS, ours, 's', 'the slim way computed from %.2f s a step' % step)


def inception_all(bench):
    """Everything of inception_v3, the pipeline included."""
    words = ['--max_number_of_steps', 40]
    slim = bench.steps('train', *bench.flags('inception_v3', bench.path('all_slim')), *words, *SLIM, *SLIM_ENGINE)
    try:
        ours = bench.steps('train', *bench.flags('inception_v3', bench.path('all_ours')), *words, '--precision', 'bfloat16')
        note = 'bfloat16'
    except UserError as e:
        if 'bfloat16' not in str(e):
            raise
        ours, note = slim, 'no bfloat16 on this runtime or CPU'
    return result(BATCH / slim, BATCH / ours, 'pictures/s', note, True)


def evaluation(bench):
    """Evaluation of inception_v3, decoding included; the seconds of starting up belong to both."""
    place = bench.path('eval_inception')
    shutil.copytree(bench.inception(), place)
    words = ['eval', place, '--dataset-split-name', 'train', '--dataset-dir', bench.flowers(), '--dataset-name', 'flowers',
             '--quiet']
    few, _ = bench.run(*words, *SLIM_ENGINE, '--batch_size', 32, '--max-num-batches', 10)
    least, _ = bench.run(*words, *SLIM_ENGINE, '--batch_size', 32, '--max-num-batches', 1)
    ours, _ = bench.run(*words)
    return result(9 * 32 / (few - least), PICTURES / ours, 'pictures/s',
                  'the slim way without its start, from 9 batches; ours whole, proof included', True)


def exported(bench):
    """An exported inception_v3."""
    place = bench.path('export')
    if not os.path.isdir(place):
        bench.run('export', bench.inception(), '--output-dir', place, '--quiet')
    return place


def first_answer(bench):
    """From typing to the first answer."""
    picture = sorted(os.path.join(folder, name) for folder, _, names in os.walk(bench.flowers()) for name in names
                     if name.endswith('.jpg'))[0]
    seconds = sorted(bench.run('predict', exported(bench), picture)[0] for _ in range(4))
    return result(None, seconds[1], 's')


def folder(bench):
    """A folder of 640 pictures."""
    place = bench.pictures('folder', 640)
    slim, _ = bench.run('predict', exported(bench), os.path.join(place, 'train', 'daisy'), '--csv', *SLIM_ENGINE)
    count = len(os.listdir(os.path.join(place, 'train', 'daisy')))
    ours, _ = bench.run('predict', exported(bench), place, '--csv')
    return result(count / slim, 640 / ours, 'pictures/s', 'the slim way on %d of them' % count, True)


def help_text(bench):
    """slimtune --help; slim's scripts import TensorFlow first."""
    slim = min(_seconds([sys.executable, '-c', 'from slimtune.runtime import tf, slim']) for _ in range(3))
    ours = min(bench.run('train', '--help')[0] for _ in range(3))
    return result(None, ours, 's', 'importing TensorFlow and tf_slim alone takes %.1f s' % slim)


def _seconds(words):
    begun = time.time()
    subprocess.run(words, check=True)
    return time.time() - begun


ROWS = {
    'convert': Row('convert 3670 flowers, all verified', convert, {'amx': 3, 'avx512_bf16': 3}),
    'head': Row('head of mobilenet_v1_025, 128 px, %d pictures, %d steps, whole command' % (PICTURES, STEPS), head,
                {'amx': 10, 'avx512_bf16': 8}),
    'inception_head': Row('heads of inception_v3, %d steps, whole command' % STEPS, inception_head,
                          {'amx': 45, 'avx512_bf16': 22}),
    'inception_head_again': Row('the same with another rate, features cached', lambda bench: inception_head(bench, 0.002),
                                {'amx': 80, 'avx512_bf16': 80}),
    'inception_all': Row('inception_v3, everything, pipeline included', inception_all, {'amx': 6.3, 'avx512_bf16': 3.2}),
    'eval': Row('eval inception_v3, %d pictures' % PICTURES, evaluation, {'amx': 6.5, 'avx512_bf16': 2.2}),
    'predict_first': Row('predict: first answer of an exported inception_v3', first_answer,
                         {'amx': 1, 'avx512_bf16': 1, 'other': 1}),
    'predict_folder': Row('predict a folder, inception_v3', folder, {'amx': 6.5, 'avx512_bf16': 2.2}),
    'help': Row('slimtune train --help', help_text, {'amx': 0.3, 'avx512_bf16': 0.3, 'other': 0.3}),
}
