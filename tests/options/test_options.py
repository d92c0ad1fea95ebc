"""Options: slim's spellings, where a value comes from, and which values are refused."""
import json

import pytest

from slimtune import cli, options
from slimtune.errors import UsageError, UserError


def typed(command, *words):
    return cli.parse(command, list(words))[0]


def understood(command, *words):
    return options.understand(command, *cli.parse(command, list(words)))


@pytest.mark.parametrize('words', [
    ['--batch_size=8'], ['--batch-size=8'], ['--batch-size', '8'], ['-batch_size', '8'], ['-batch-size=8'], ['--batch=8'],
    ['--batch', '8'], ['--batch_size=4', '--batch_size=8']])
def test_an_option_is_understood_in_every_spelling(words):
    assert typed('train', *words) == {'batch_size': 8}


@pytest.mark.parametrize('words, value', [
    (['--use_grayscale'], True), (['--use-grayscale'], True), (['--use_grayscale=True'], True), (['--use_grayscale=1'], True),
    (['--use_grayscale', 'true'], True), (['--use_grayscale=yes'], True), (['--nouse_grayscale'], False),
    (['--no-use-grayscale'], False), (['--use_grayscale=False'], False), (['--use_grayscale', 'False'], False),
    (['--use_grayscale=0'], False), (['--use-gray'], True)])
def test_a_switch_is_understood_in_every_spelling(words, value):
    assert typed('train', *words) == {'use_grayscale': value}


@pytest.mark.parametrize('abbreviation, option', [
    ('--model', 'model_name'), ('--batch', 'batch_size'), ('--trainable', 'trainable_scopes'),
    ('--checkpoint-exclude', 'checkpoint_exclude_scopes'), ('--max', 'max_number_of_steps'), ('--rest', 'restart')])
def test_abbreviations_of_slims_flags_win_over_ours(abbreviation, option):
    kind = options.fields('train')[option].type
    assert typed('train', *[abbreviation] + ([] if kind is bool else ['7'])) == {option: kind(7)}


def test_an_ambiguous_abbreviation_names_what_it_could_be():
    with pytest.raises(UsageError, match='--checkpoint could be --checkpoint-path or --checkpoint-exclude-scopes'):
        typed('train', '--checkpoint=x')


def test_values_keep_their_dashes_and_signs():
    assert typed('train', '--dataset-name=my-set', '--train-dir', 'a-b/c-d', '--ftrl_learning_rate_power', '-0.25',
                 '--quantize_delay', '-1', '--model=-odd-') == {
        'dataset_name': 'my-set', 'train_dir': 'a-b/c-d', 'ftrl_learning_rate_power': -0.25, 'quantize_delay': -1,
        'model_name': '-odd-'}


@pytest.mark.parametrize('words', [
    ['--trainable_scopes=A/Logits,A/Aux'], ['--trainable_scopes=A/Logits,', 'A/Aux'],
    ['--trainable_scopes', 'A/Logits,', 'A/Aux'], ['--trainable_scopes=A/Logits', ',A/Aux'],
    ['--trainable_scopes=A/Logits', ',', 'A/Aux'],
    ['--trainable_scopes= A/Logits , A/Aux,']])
def test_spaces_beside_the_commas_of_scopes_are_forgiven(words):
    assert understood('train', *words)[options.Start].trainable_scopes == 'A/Logits,A/Aux'


def test_paths_may_hold_a_tilde_and_variables(monkeypatch):
    monkeypatch.setenv('HOME', '/home/somebody')
    monkeypatch.setenv('SETS', '/sets')
    request = understood('train', '--train_dir=~/run', '--dataset_dir', '$SETS/pic', '--checkpoint_path=${SETS}/x.ckpt')
    assert request[options.Run].train_dir == '/home/somebody/run'
    assert request[options.Data].dataset_dir == '/sets/pic'
    assert request[options.Start].checkpoint_path == '/sets/x.ckpt'


def test_absls_flags_are_understood():
    assert typed('export', '--alsologtostderr', '--verbosity=1', '--nologtostderr') == {
        'alsologtostderr': True, 'verbosity': 1, 'logtostderr': False}


def test_words_after_two_dashes_are_words():
    assert cli.parse('predict', ['net', '--csv', '--', '-odd.jpg', '--json']) == ({'csv': True}, ['net', '-odd.jpg', '--json'])


@pytest.mark.parametrize('command, words, message', [
    ('train', ['--bach_size=3'], 'no option --bach_size: did you mean --batch-size'),
    ('train', ['-x'], 'no option -x'),
    ('train', ['--batch_size'], '--batch_size needs a value'),
    ('train', ['--batch_size', '--restart'], '--batch_size needs a value'),
    ('train', ['--batch_size=many'], "--batch_size: invalid int value: 'many'"),
    ('train', ['--use_grayscale=perhaps'], '--use_grayscale: perhaps is neither true nor false'),
    ('train', ['--optimizer=adamw'], 'adamw'),
    ('train', ['pic', 'more'], 'more stands alone'),
    ('nets', ['more'], 'more stands alone')])
def test_a_wrong_word_is_named(command, words, message):
    with pytest.raises(UsageError) as e:
        cli.parse(command, words)
    assert message in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize('command, words, message', [
    ('train', ['--batch_size=0'], '--batch-size=0: it must be at least 1'),
    ('train', ['--max_number_of_steps=-1'], '--max-number-of-steps=-1: it must be at least 1'),
    ('train', ['--labels_offset=-1'], '--labels-offset=-1: it must be at least 0'),
    ('eval', ['--max_num_batches=0'], '--max-num-batches=0'),
    ('eval', ['--top_k=0'], '--top-k=0'),
    ('export', ['--image_size=0'], '--image-size=0'),
    ('predict', ['--batch-size=0'], '--batch-size=0')])
def test_a_number_that_makes_no_sense_is_refused(command, words, message):
    with pytest.raises(UsageError) as e:
        understood(command, *words)
    assert message in str(e.value)


#: slim's flags for many machines and quantization, at the defaults of its scripts
LATER = {'train': '--num_clones=1 --worker_replicas=1 --num_ps_tasks=0 --task=0 --master= --sync_replicas=False '
                  '--replicas_to_aggregate=1 --quantize_delay=-1 --clone_on_cpu=True',
         'eval': '--master= --quantize=False', 'export': '--quantize=False'}


@pytest.mark.parametrize('command', LATER)
def test_slims_defaults_for_what_comes_later_pass(command):
    understood(command, *LATER[command].split())


@pytest.mark.parametrize('command, word', [
    ('train', '--num_clones=2'), ('train', '--worker_replicas=2'), ('train', '--num_ps_tasks=1'), ('train', '--task=1'),
    ('train', '--master=grpc://host:1'), ('train', '--sync_replicas'), ('train', '--replicas_to_aggregate=2'),
    ('train', '--quantize_delay=100'), ('eval', '--master=grpc://host:1'), ('eval', '--quantize'), ('export', '--quantize=True')])
def test_other_values_say_that_they_come_later(command, word):
    with pytest.raises(UsageError, match='comes in a later version'):
        understood(command, word)


def test_slims_form_and_the_folder_form_have_their_own_defaults():
    slim, folder = understood('train', '--dataset_dir=pic'), understood('train', 'pic')
    assert (slim[options.Optimizer].optimizer, slim[options.Optimizer].opt_epsilon) == ('rmsprop', 1.0)
    assert (slim[options.Run].train_dir, slim[options.Data].dataset_name) == ('/tmp/tfmodel/', 'imagenet')
    assert (folder[options.Optimizer].optimizer, folder[options.Optimizer].opt_epsilon) == ('adam', None)
    assert folder[options.Run].train_dir is None and folder[options.Data].dataset_dir == 'pic'
    assert (slim.folder_form, folder.folder_form) == (False, True)
    assert understood('eval')[options.Data].dataset_split_name == 'test'


def test_what_is_said_twice_is_refused():
    with pytest.raises(UsageError, match='net and --checkpoint-path=other: give one of them'):
        understood('eval', 'net', '--checkpoint_path=other')


def test_what_was_typed_wins_over_run_json_and_run_json_over_the_default(tmp_path):
    train = understood('train', 'pic', '--model=lenet', '--dataset_name=digits', '--learning_rate=0.5')
    options.save_run(str(tmp_path), [train[group] for group in (options.Data, options.Net, options.Schedule)],
                     classes=['a', '真'])
    for words in ([str(tmp_path)], ['--checkpoint_path=%s' % tmp_path], ['--checkpoint_path=%s' % (tmp_path / 'model.ckpt-7')]):
        request = understood('eval', *words + ['--dataset_name=other'])
        assert request[options.Net].model_name == 'lenet'
        assert request[options.Data].dataset_name == 'other'
        assert request[options.Data].dataset_split_name == 'validation'
        assert request.run['classes'] == ['a', '真']


@pytest.mark.parametrize('content', ['', '{', '[]', '{"options": 3}', '{"classes": []}'])
def test_a_damaged_run_json_is_named(tmp_path, content):
    (tmp_path / 'run.json').write_text(content)
    with pytest.raises(UserError, match='run.json is damaged'):
        options.load_run(str(tmp_path))


def test_moving_averages_are_used_where_there_are_any_unless_said_otherwise(tmp_path):
    folder = str(tmp_path)
    assert understood('eval', folder).averages == 'there'
    assert understood('eval', folder, '--moving_average_decay=0').averages is False
    assert understood('eval', folder, '--moving_average_decay=0.9').averages is True
    assert understood('eval', '--checkpoint_path=' + folder).averages is False


def test_every_option_is_json(tmp_path):
    """run.json holds them all: a default that is no JSON would break it."""
    for name in options.COMMANDS:
        for form in ('slim', 'folder'):
            json.dumps(options.defaults(name, form))
