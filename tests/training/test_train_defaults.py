"""What the folder form chooses: weight decay, precision, the data set; what --trainable-scopes may hold."""
import json
import os
import shutil
import signal

import numpy as np
import pytest

from slimtune.nets import nets_factory
from slimtune.training import train, trainable, training_options

FOLDER = ['train', 'pic', '--model', 'lenet', '--batch', 4]


@pytest.fixture(autouse=True)
def start(pic, trained, tmp_path):
    """A lenet trained on the images of `pic`, to start from: tmp_path / 'start'."""
    shutil.copytree(str(trained / 'pic_lenet'), str(tmp_path / 'start'))


def options_of(folder):
    """The options in a train folder's run.json."""
    with open(os.path.join(folder, 'run.json')) as f:
        return json.load(f)['options']


def test_the_heads_weight_decay_is_chosen_by_cross_validation_and_kept_when_resumed(here):
    printed = here(*FOLDER, '--checkpoint-path', 'start', '--max-number', 2)
    assert 'Weight decay' in printed and '-fold cross-validation' in printed
    chosen = options_of('pic_lenet')['weight_decay']
    assert chosen not in (None, train.WEIGHT_DECAY)
    printed = here(*FOLDER, '--max-number', 3)
    assert 'Weight decay' not in printed and options_of('pic_lenet')['weight_decay'] == chosen


def test_a_weight_decay_of_zero_is_kept_when_resumed(here):
    here(*FOLDER, '--weight-decay', 0, '--max-number', 1)
    here(*FOLDER, '--max-number', 2)
    assert options_of('pic_lenet')['weight_decay'] == 0


def test_the_whole_net_trained_after_its_head_has_steps_and_a_weight_decay_of_its_own(here, monkeypatch):
    monkeypatch.setattr(training_options, 'CACHED_EPOCHS', (0, 9))
    monkeypatch.setattr(training_options, 'EPOCHS', (0, 4))
    assert 'Saved step 9' in here(*FOLDER, '--checkpoint-path', 'start')
    assert options_of('pic_lenet')['weight_decay'] != train.WEIGHT_DECAY
    whole_net = [*FOLDER, '--trainable-scopes', 'all']
    here(*whole_net, '--max-number', 10)
    assert options_of('pic_lenet')['weight_decay'] == train.WEIGHT_DECAY
    # Of the head again: the same stage where that is what was trained last, else another one
    assert 'Saved step 19' in here(*FOLDER, '--trainable-scopes', 'head')
    assert 'Saved step 23' in here(*whole_net)
    printed = here(*whole_net)
    assert 'step 23 of 23' in printed and '--max-number-of-steps 46' in printed
    assert '--max-number-of-steps 26' in here(*whole_net, '--max-number', 3)


def test_where_features_do_not_fit_steps_and_rate_for_the_whole_net_are_named(here, monkeypatch):
    monkeypatch.setattr(training_options, 'CACHED_EPOCHS', (0, 9))
    monkeypatch.setattr(training_options, 'EPOCHS', (0, 4))
    words = [*FOLDER, '--checkpoint-path', 'start', '--cache-limit', 1e-8, '--cache-dir', 'cache']
    line = 'Steps and learning rate remain those for cached features, 9 and 0.006'
    advice = ['--max-number-of-steps', '4', '--learning-rate', '0.001']
    printed = here(*words)
    assert line in printed and ' '.join(advice) in printed and 'Saved step 9' in printed
    printed = here(*words, *advice, '--restart')
    assert 'the whole net runs at every step' in printed and 'remain those' not in printed


def test_a_second_stage_that_was_stopped_goes_on_to_its_last_step(here, monkeypatch):
    monkeypatch.setattr(training_options, 'EPOCHS', (0, 4))
    here(*FOLDER, '--checkpoint-path', 'start', '--max-number', 9)
    run = train.Step.run

    def stopped_at_step_11(self, session, number):
        if number == 10:
            os.kill(os.getpid(), signal.SIGINT)
        return run(self, session, number)

    with monkeypatch.context() as patch:
        patch.setattr(train.Step, 'run', stopped_at_step_11)
        printed = here(*FOLDER, '--trainable-scopes', 'all', code=130)
    assert 'Saved step 11' in printed and 'The same command goes on from here' in printed
    assert 'Saved step 13' in here(*FOLDER, '--trainable-scopes', 'all')


@pytest.mark.parametrize('net, precision, folder_form, able, expected', [
    ('resnet_v1_50', 'auto', True, True, True), ('resnet_v1_50', 'auto', False, True, False),
    ('resnet_v1_50', 'auto', True, False, False), ('mobilenet_v1', 'auto', True, True, False),
    ('nasnet_cifar', 'auto', True, True, False), ('mobilenet_v1', 'bfloat16', False, True, True),
    ('resnet_v1_50', 'float32', True, True, False)])
def test_bfloat16_is_used_where_it_is_typed_or_faster(
        monkeypatch, net, precision, folder_form, able, expected):
    monkeypatch.setattr(train, 'trains_in_bfloat16', lambda: able)
    assert train.in_bfloat16(precision, nets_factory.get_net(net), folder_form) is expected


def test_images_that_changed_are_noticed_with_a_data_sets_name_too(here):
    os.remove(os.path.join('pic/two', sorted(os.listdir('pic/two'))[0]))
    slim = ['train', '--dataset_dir=pic', '--dataset_name=pic', '--model_name=lenet', '--train_dir=run',
            '--max_number_of_steps=1', '--batch_size=2']
    assert 'note: the images in pic have changed since they were converted' in here(*slim)
    assert 'have changed since they were converted: converting them again' in here(
        *FOLDER, '--dataset-name', 'pic', '--max-number', 1)
    assert 'have changed' not in here(*slim, '--max_number_of_steps=2')


def test_the_command_to_download_missing_weights_is_in_the_error(here):
    printed = here('train', 'pic', '--model', 'mobilenet_v1_025', code=1)
    assert 'must be downloaded first: slimtune download mobilenet_v1_025' in printed
    assert sorted(os.listdir('.')) == ['pic', 'start']


@pytest.mark.parametrize('scopes, count', [
    ('LeNet/fc4/weights$', 1), ('head,LeNet/fc3', 4), ('LeNet/fc3/biases$,head', 3), ('head,all', 8)])
def test_trainable_scopes_may_end_in_a_dollar_sign_and_hold_head_among_others(here, values, scopes, count):
    printed = here(*FOLDER, '--checkpoint-path', 'start', '--max-number', 1, '--trainable-scopes', scopes)
    assert f'{count} of 8 variables trained' in printed
    before, after = values('start'), values('pic_lenet')
    model = [name for name in before if name.count('/') == 2]
    assert sum(not np.array_equal(before[name], after[name]) for name in model) == count


def test_batch_norm_of_a_layer_that_only_trains_its_weights_stays_frozen():
    assert trainable.frozen_by(['A/B/weights$'])('A/B/BatchNorm')
    assert not trainable.frozen_by(['A/B'])('A/B/BatchNorm')


def test_the_number_of_a_step_is_read_after_the_step(here, monkeypatch):
    """A copy of global_step that is read beside the update may be the old one: with a slow update it is."""
    steps = []
    run = train.Step.run

    def recorded(self, session, number):
        assert self.train_op in self.global_step.op.control_inputs
        loss, after = run(self, session, number)
        steps.append((number, after))
        return loss, after

    monkeypatch.setattr(train.Step, 'run', recorded)
    here(*FOLDER, '--max-number', 4)
    assert steps == [(0, 1), (1, 2), (2, 3), (3, 4)]
