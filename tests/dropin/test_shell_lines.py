"""The shell lines of slim's README, of its scripts and of the tutorial, `python X.py` replaced by `slimtune
Y`."""
import os
import shlex

import pytest

from slimtune import cli, options

VARIABLES = {'DATASET_DIR': '/tmp/flowers', 'TRAIN_DIR': '/tmp/flowers-models/net',
             'DATA_DIR': '/tmp/data/flowers',
             'PRETRAINED_CHECKPOINT_DIR': '/tmp/checkpoints', 'CHECKPOINT_PATH': '/tmp/my_checkpoints',
             'CHECKPOINT_FILE': '/tmp/checkpoints/model.ckpt', 'EVAL_DIR': '/tmp/eval'}
_FLOWERS = '--dataset_name=flowers --dataset_split_name=%s --dataset_dir=${DATASET_DIR}'
_TRAIN = 'train --train_dir=${TRAIN_DIR}%s ' + _FLOWERS % 'train'
_EVAL = 'eval --checkpoint_path=${TRAIN_DIR}%s --eval_dir=${TRAIN_DIR}%s ' + _FLOWERS % 'validation'
_SAVING = ('--batch_size=32 --save_interval_secs=60 --save_summaries_secs=60 --optimizer=rmsprop '
           '--weight_decay=0.00004')


def finetuning(net, scopes, steps, all_steps, all_rate, more=''):
    """The five lines of a finetune_NET_on_flowers.sh."""
    return [
        'download --dataset_name=flowers --dataset_dir=${DATASET_DIR}',
        '%s --model_name=%s --checkpoint_path=${PRETRAINED_CHECKPOINT_DIR}/%s.ckpt '
        '--checkpoint_exclude_scopes=%s --trainable_scopes=%s --max_number_of_steps=%d --learning_rate=0.01 '
        '%s --log_every_n_steps=100 %s' % (
            _TRAIN % '', net, net, scopes, scopes, steps, more, _SAVING),
        '%s --model_name=%s' % (_EVAL % ('', ''), net),
        '%s --model_name=%s --checkpoint_path=${TRAIN_DIR} --max_number_of_steps=%d --learning_rate=%s %s '
        '--log_every_n_steps=10 %s' % (_TRAIN % '/all', net, all_steps, all_rate, more, _SAVING),
        '%s --model_name=%s' % (_EVAL % ('/all', '/all'), net)]


FIXED = '--learning_rate_decay_type=fixed'
V3_HEAD, RESNET_HEAD = 'InceptionV3/Logits,InceptionV3/AuxLogits', 'resnet_v1_50/logits'
V3_RESNET_HEAD = 'InceptionResnetV2/Logits,InceptionResnetV2/AuxLogits'
README = [
    'download --dataset_name=flowers --dataset_dir="${DATA_DIR}"',
    'train --train_dir=${TRAIN_DIR} --dataset_name=imagenet --dataset_split_name=train '
    '--dataset_dir=${DATASET_DIR} --model_name=inception_v3',
    'train --train_dir=${TRAIN_DIR} --dataset_dir=${DATASET_DIR} --dataset_name=flowers '
    '--dataset_split_name=train --model_name=inception_v3 --checkpoint_path=${CHECKPOINT_PATH} '
    '--checkpoint_exclude_scopes=%s --trainable_scopes=%s'
    % (V3_HEAD, V3_HEAD),
    'eval --alsologtostderr --checkpoint_path=${CHECKPOINT_FILE} --dataset_dir=${DATASET_DIR} '
    '--dataset_name=imagenet --dataset_split_name=validation --model_name=inception_v3',
    'export --alsologtostderr --model_name=inception_v3 --output_file=/tmp/inception_v3_inf_graph.pb',
    'export --alsologtostderr --model_name=mobilenet_v1 --image_size=224 '
    '--output_file=/tmp/mobilenet_v1_224.pb',
    # The READMEs of NASNet and of MobileNet v2, on one GPU
    'eval --checkpoint_path=${CHECKPOINT_FILE} --eval_dir=${EVAL_DIR} --dataset_dir=${DATASET_DIR} '
    '--dataset_name=imagenet --dataset_split_name=validation --model_name=nasnet_large --eval_image_size=331 '
    '--moving_average_decay=0.9999',
    'train --model_name="mobilenet_v2" --learning_rate=0.045 --preprocessing_name="inception_v2" '
    '--label_smoothing=0.1 --moving_average_decay=0.9999 --batch_size=96 --num_clones=1 '
    '--learning_rate_decay_factor=0.98 --num_epochs_per_decay=2.5']
SCRIPTS = (
    finetuning('inception_v1', 'InceptionV1/Logits', 3000, 1000, 0.001)
    + finetuning('inception_v3', V3_HEAD, 1000, 500, 0.0001, FIXED)
    + finetuning('inception_resnet_v2', V3_RESNET_HEAD, 1000, 500, 0.0001, FIXED)
    + finetuning('resnet_v1_50', RESNET_HEAD, 3000, 1000, 0.001) + [
        'download --dataset_name=cifar10 --dataset_dir=/tmp/cifar10',
        'train --train_dir=/tmp/cifarnet-model --dataset_name=cifar10 --dataset_split_name=train '
        '--dataset_dir=/tmp/cifar10 --model_name=cifarnet --preprocessing_name=cifarnet '
        '--max_number_of_steps=100000 --batch_size=128 --save_interval_secs=120 --save_summaries_secs=120 '
        '--log_every_n_steps=100 --optimizer=sgd --learning_rate=0.1 --learning_rate_decay_factor=0.1 '
        '--num_epochs_per_decay=200 --weight_decay=0.004',
        'eval --checkpoint_path=/tmp/cifarnet-model --eval_dir=/tmp/cifarnet-model --dataset_name=cifar10 '
        '--dataset_split_name=test --dataset_dir=/tmp/cifar10 --model_name=cifarnet',
        'download --dataset_name=mnist --dataset_dir=/tmp/mnist',
        'train --train_dir=/tmp/lenet-model --dataset_name=mnist --dataset_split_name=train '
        '--dataset_dir=/tmp/mnist --model_name=lenet --preprocessing_name=lenet --max_number_of_steps=20000 '
        '--batch_size=50 --learning_rate=0.01 --save_interval_secs=60 --save_summaries_secs=60 '
        '--log_every_n_steps=100 --optimizer=sgd ' + FIXED + ' --weight_decay=0',
        'eval --checkpoint_path=/tmp/lenet-model --eval_dir=/tmp/lenet-model --dataset_name=mnist '
        '--dataset_split_name=test --dataset_dir=/tmp/mnist --model_name=lenet'])
TUTORIAL = [
    'download --dataset_name=mnist --dataset_dir=/tmp/mnist',
    'train --train_dir=guangdong/train_dir --dataset_name=guangdong --dataset_split_name=train '
    '--dataset_dir=guangdong/data --model_name=inception_v3 '
    '--checkpoint_path=guangdong/pretrained/inception_v3.ckpt --checkpoint_exclude_scopes=%s '
    '--trainable_scopes=%s --max_number_of_steps=100000 --batch_size=32 --learning_rate=0.001 %s '
    '--save_interval_secs=300 --save_summaries_secs=2 --log_every_n_steps=10 --optimizer=rmsprop '
    '--weight_decay=0.00004' % (V3_HEAD, V3_HEAD, FIXED),
    'eval --checkpoint_path=guangdong/train_dir --eval_dir=guangdong/eval_dir --dataset_name=guangdong '
    '--dataset_split_name=validation --dataset_dir=guangdong/data --model_name=inception_v3']
# What slim's scripts do where nothing is said.
DEFAULTS = {
    'train': dict(
        master='', train_dir='/tmp/tfmodel/', num_clones=1, clone_on_cpu=False, worker_replicas=1,
        num_ps_tasks=0, num_readers=4, num_preprocessing_threads=4, log_every_n_steps=10,
        save_summaries_secs=600, save_interval_secs=600, task=0, weight_decay=0.00004, optimizer='rmsprop',
        adadelta_rho=0.95, adagrad_initial_accumulator_value=0.1, adam_beta1=0.9, adam_beta2=0.999,
        opt_epsilon=1.0, ftrl_learning_rate_power=-0.5, ftrl_initial_accumulator_value=0.1, ftrl_l1=0.0,
        ftrl_l2=0.0, momentum=0.9, rmsprop_momentum=0.9, rmsprop_decay=0.9, quantize_delay=-1,
        learning_rate_decay_type='exponential', learning_rate=0.01, end_learning_rate=0.0001,
        label_smoothing=0.0, learning_rate_decay_factor=0.94, num_epochs_per_decay=2.0, sync_replicas=False,
        replicas_to_aggregate=1, moving_average_decay=None, dataset_name='imagenet',
        dataset_split_name='train', dataset_dir=None, labels_offset=0, model_name='inception_v3',
        preprocessing_name=None, batch_size=32, train_image_size=None, max_number_of_steps=None,
        use_grayscale=False, checkpoint_path=None, checkpoint_exclude_scopes=None, trainable_scopes=None,
        ignore_missing_vars=False),
    'eval': dict(
        batch_size=100, max_num_batches=None, master='', checkpoint_path='/tmp/tfmodel/',
        eval_dir='/tmp/tfmodel/', num_preprocessing_threads=4, dataset_name='imagenet',
        dataset_split_name='test', dataset_dir=None, labels_offset=0, model_name='inception_v3',
        preprocessing_name=None, moving_average_decay=None, eval_image_size=None, quantize=False,
        use_grayscale=False),
    'export': dict(
        model_name='inception_v3', is_training=False, final_endpoint=None, image_size=None, batch_size=None,
        dataset_name='imagenet', labels_offset=0, output_file='', quantize=False, is_video_model=False,
        num_frames=None, write_text_graphdef=False, use_grayscale=False),
    'download': dict(dataset_name=None, dataset_dir=None),
}


def understood(line):
    """What a shell line resolves to: (command, Request, {option: value})."""
    command, *words = shlex.split(line)
    request = options.understand(command, *cli.parse(command, words))
    return command, request, {name: value for group in request.groups.values()
                              for name, value in vars(group).items()}


def plain(text):
    """The value of a plain flag as slim's flags read it."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


@pytest.mark.parametrize('line', README + SCRIPTS + TUTORIAL)
def test_a_line_of_slims_means_what_it_meant(line, monkeypatch):
    """What is typed, and slim's own default where nothing is."""
    for name, value in VARIABLES.items():
        monkeypatch.setenv(name, value)
    line = os.path.expandvars(line)     # as the shell does
    command, request, values = understood(line)
    expected = dict(DEFAULTS[command])
    for word in shlex.split(line)[1:]:
        name, equals, value = word[2:].partition('=')
        expected[name] = plain(value) if equals else True
    assert {name: values[name] for name in expected} == expected
    assert not request.folder_form and not request.words


def test_every_flag_of_slims_scripts_is_there():
    for command, flags in DEFAULTS.items():
        assert set(flags) <= set(options.command_options(command)), command
        assert {name: options.defaults(command, 'slim')[name] for name in flags} == flags


@pytest.mark.parametrize('line, expected', [
    ('convert -t pic --train-shards 2 --validation-shards 2 --num-threads 2 --dataset-name guangdong',
     dict(tensorflow_data_dir='pic', train_shards=2, validation_shards=2, num_threads=2,
          dataset_name='guangdong')),
    ('train --clone_on_cpu=True', dict(clone_on_cpu=True)),
    ('train --clone_on_cpu', dict(clone_on_cpu=True)),
    ('train --noclone_on_cpu', dict(clone_on_cpu=False)),
    ('train --clone_on_cpu=False --ignore_missing_vars=True',
     dict(clone_on_cpu=False, ignore_missing_vars=True)),
    ('train --alsologtostderr --model_name inception_v1', dict(alsologtostderr=True,
                                                               model_name='inception_v1')),
    ('train --batch=64 --model=lenet --dataset_split=train', dict(batch_size=64, model_name='lenet')),
    ('train --batch 64 -model_name vgg_16', dict(batch_size=64, model_name='vgg_16')),
    ('train --trainable_scopes=InceptionV3/Logits, InceptionV3/AuxLogits --batch_size=8',
     dict(trainable_scopes=V3_HEAD, batch_size=8)),
    ('train --checkpoint_exclude_scopes="InceptionV3/Logits , InceptionV3/AuxLogits"',
     dict(checkpoint_exclude_scopes=V3_HEAD)),
    ("train --train_dir=~/run --dataset_dir='$MY_SETS/pic'",
     dict(train_dir='/home/zhang/run', dataset_dir='/sets/pic')),
    ('eval --checkpoint_path ~/run --eval_dir="~/eval" --nouse_grayscale',
     dict(checkpoint_path='/home/zhang/run', eval_dir='/home/zhang/eval', use_grayscale=False)),
    ('export --output_file=~/net.pb --is_training=False', dict(output_file='/home/zhang/net.pb',
                                                               is_training=False)),
    ('train --learning_rate 1e-3 --quantize_delay -1 --max_number_of_steps 10',
     dict(learning_rate=0.001, quantize_delay=-1, max_number_of_steps=10))])
def test_other_spellings_that_people_have_in_their_scripts(line, expected, monkeypatch):
    monkeypatch.setenv('HOME', '/home/zhang')
    monkeypatch.setenv('MY_SETS', '/sets')
    _, request, values = understood(line)
    assert {name: values[name] for name in expected} == expected
    assert not request.folder_form
