"""Options: slim's spellings, where a value comes from, and which values are refused."""
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slimtune import cli, options
from slimtune.errors import UsageError, UserError
from slimtune.options import request as request_module
from slimtune.options.fields import fits


def typed(command, *words):
    return cli.parse(command, list(words))[0]


def understood(command, *words):
    return options.understand(command, *cli.parse(command, list(words)))


@pytest.mark.parametrize('words', [
    ['--batch_size=8'], ['--batch-size=8'], ['--batch-size', '8'], ['-batch_size', '8'], ['-batch-size=8'],
    ['--batch=8'], ['--batch', '8'], ['--batch_size=4', '--batch_size=8']])
def test_an_option_is_understood_in_every_spelling(words):
    assert typed('train', *words) == {'batch_size': 8}


@st.composite
def spellings(draw):
    """({option: text}, the same options in a random spelling and order) of train."""
    chosen = draw(st.dictionaries(st.sampled_from([
        'batch_size', 'seed', 'learning_rate', 'train_dir', 'model_name', 'optimizer', 'use_grayscale',
        'histograms']),
        st.integers(1, 9), min_size=1))
    values = {'train_dir': 'run-{}_a', 'model_name': 'net_{}-b', 'optimizer': 'adam', 'learning_rate': '0.{}'}
    switches = ('use_grayscale', 'histograms')
    plain, words = {}, []
    for name, number in chosen.items():
        text = str(number % 2 == 0) if name in switches else values.get(name, '{}').format(number)
        plain[name] = text
        letters = draw(st.lists(st.sampled_from('-_'), min_size=name.count('_'), max_size=name.count('_')))
        spelled = draw(st.sampled_from(['-', '--'])) + name.replace('_', '{}').format(*letters)
        forms = [[f'{spelled}={text}'], [spelled, text]]
        if name in switches:
            forms = [[spelled], [f'{spelled}=1'], [spelled, 'true']] if number % 2 == 0 else [
                [f'--no{name}'], [f'--no-{name.replace("_", "-")}'], [f'{spelled}=False'], [spelled, 'False']]
        words.append(draw(st.sampled_from(forms)))
    return plain, [word for form in draw(st.permutations(words)) for word in form]


@settings(deadline=None)        # a busy machine is no failure
@given(spellings())
def test_any_spelling_gives_the_same_request(example):
    plain, words = example
    assert understood('train', *words) == understood('train',
                                                     *[f'--{name}={text}' for name, text in plain.items()])


@pytest.mark.parametrize('words, value', [
    (['--use_grayscale'], True), (['--use-grayscale'], True), (['--use_grayscale=True'], True),
    (['--use_grayscale=1'], True),
    (['--use_grayscale', 'true'], True), (['--use_grayscale=yes'], True), (['--nouse_grayscale'], False),
    (['--no-use-grayscale'], False), (['--use_grayscale=False'], False),
    (['--use_grayscale', 'False'], False), (['--use_grayscale=0'], False), (['--use-gray'], True)])
def test_a_switch_is_understood_in_every_spelling(words, value):
    assert typed('train', *words) == {'use_grayscale': value}


@pytest.mark.parametrize('abbreviation, option', [
    ('--model', 'model_name'), ('--batch', 'batch_size'), ('--trainable', 'trainable_scopes'),
    ('--checkpoint-exclude', 'checkpoint_exclude_scopes'), ('--max', 'max_number_of_steps'),
    ('--rest', 'restart')])
def test_abbreviations_of_slims_flags_win_over_ours(abbreviation, option):
    kind = options.command_options('train')[option].type
    assert typed('train', *[abbreviation] + ([] if kind is bool else ['7'])) == {option: kind(7)}


def test_an_ambiguous_abbreviation_names_what_it_could_be():
    with pytest.raises(UsageError, match='--checkpoint could be --checkpoint-path or '
                                         '--checkpoint-exclude-scopes'):
        typed('train', '--checkpoint=x')


def test_values_keep_their_dashes_and_signs():
    assert typed('train', '--dataset-name=my-set', '--train-dir', 'a-b/c-d', '--ftrl_learning_rate_power',
                 '-0.25', '--quantize_delay', '-1', '--model=-odd-') == {
        'dataset_name': 'my-set', 'train_dir': 'a-b/c-d', 'ftrl_learning_rate_power': -0.25,
        'quantize_delay': -1, 'model_name': '-odd-'}


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
    request = understood('train', '--train_dir=~/run', '--dataset_dir', '$SETS/pic',
                         '--checkpoint_path=${SETS}/x.ckpt')
    assert request[options.Run].train_dir == '/home/somebody/run'
    assert request[options.Data].dataset_dir == '/sets/pic'
    assert request[options.Start].checkpoint_path == '/sets/x.ckpt'


def test_absls_flags_are_understood():
    assert typed('export', '--alsologtostderr', '--verbosity=1', '--nologtostderr') == {
        'alsologtostderr': True, 'verbosity': 1, 'logtostderr': False}


def test_words_after_two_dashes_are_words():
    assert cli.parse('predict', ['net', '--csv', '--', '-odd.jpg',
                                 '--json']) == ({'csv': True}, ['net', '-odd.jpg', '--json'])


@pytest.mark.parametrize('command, words, message', [
    ('train', ['--bach_size=3'], 'no option --bach_size: did you mean --batch-size'),
    ('train', ['-x'], 'no option -x'),
    ('train', ['--batch_size'], '--batch_size needs a value'),
    ('train', ['--batch_size', '--restart'], '--batch_size needs a value'),
    ('train', ['--batch_size=many'], '--batch-size=many: expected a whole number from 1 to 1000000'),
    ('train', ['--use_grayscale=perhaps'], '--use-grayscale=perhaps: expected true or false'),
    ('train', ['--optimizer=adamw'], '--optimizer=adamw: expected one of adadelta, adagrad, adam, ftrl, '),
    ('train', ['pic', 'more'], 'unexpected word more: '),
    ('nets', ['more'], 'unexpected word more: ')])
def test_a_wrong_word_is_named(command, words, message):
    with pytest.raises(UsageError) as e:
        cli.parse(command, words)
    assert message in str(e.value) and '\n' not in str(e.value)


@pytest.mark.parametrize('command, words, message', [
    ('train', ['--batch_size=0'], '--batch-size=0: expected a whole number from 1 to '),
    ('train', ['--max_number_of_steps=-1'], '--max-number-of-steps=-1: expected a whole number from 1 to '),
    ('train', ['--labels_offset=-1'], '--labels-offset=-1: expected a whole number from 0 to '),
    ('eval', ['--max_num_batches=0'], '--max-num-batches=0'),
    ('eval', ['--top_k=0'], '--top-k=0'),
    ('export', ['--image_size=0'], '--image-size=0'),
    ('predict', ['--batch-size=0'], '--batch-size=0'),
    ('train', ['--num-epochs-per-decay', '1e999'], '--num-epochs-per-decay=1e999: expected a number from 0 '
                                                   'to 1000000'),
    ('train', ['--num-epochs-per-decay', '9' * 20], 'expected a number from 0 to 1000000'),
    ('train', ['--learning-rate=nan'], '--learning-rate=nan: expected a number'),
    ('train', ['--weight-decay=-inf'], '--weight-decay=-inf: expected a number'),
    ('train', ['--seed', '9' * 20], 'expected a whole number from 0 to 2147483647'),
    ('convert', ['--seed', '9' * 5000], 'expected a whole number from 0 to 2147483647')])
def test_a_number_that_makes_no_sense_is_refused(command, words, message):
    with pytest.raises(UsageError) as e:
        understood(command, *words)
    assert message in str(e.value)


#: slim's flags for many machines and quantization, at the defaults of its scripts
LATER = {'train': '--num_clones=1 --worker_replicas=1 --num_ps_tasks=0 --task=0 --master= '
                  '--sync_replicas=False --replicas_to_aggregate=1 --quantize_delay=-1 --clone_on_cpu=True',
         'eval': '--master= --quantize=False', 'export': '--quantize=False'}


@pytest.mark.parametrize('command', LATER)
def test_slims_defaults_for_what_comes_later_pass(command):
    understood(command, *LATER[command].split())


@pytest.mark.parametrize('command, word', [
    ('train', '--num_clones=2'), ('train', '--worker_replicas=2'), ('train', '--num_ps_tasks=1'),
    ('train', '--task=1'),
    ('train', '--master=grpc://host:1'), ('train', '--sync_replicas'), ('train', '--replicas_to_aggregate=2'),
    ('train', '--quantize_delay=100'), ('eval', '--master=grpc://host:1'), ('eval', '--quantize'),
    ('export', '--quantize=True')])
def test_other_values_say_that_they_come_later(command, word):
    with pytest.raises(UsageError, match=r'^--[a-z-]+=\S+ comes in a later version: leave it at '):
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
    for words in ([str(tmp_path)], ['--checkpoint_path=%s' % tmp_path],
                  ['--checkpoint_path=%s' % (tmp_path / 'model.ckpt-7')]):
        request = understood('eval', *words + ['--dataset_name=other'])
        assert request[options.Net].model_name == 'lenet'
        assert request[options.Data].dataset_name == 'other'
        assert request[options.Data].dataset_split_name == 'validation'
        assert request.run.classes == ['a', '真']


def test_eval_of_slims_default_folder_reads_its_run_json_as_if_it_was_typed(tmp_path, monkeypatch):
    real = request_module.defaults
    monkeypatch.setattr(request_module, 'defaults', lambda command, form: dict(
        real(command, form), checkpoint_path=str(tmp_path)))        # instead of /tmp/tfmodel/
    options.save_run(str(tmp_path), [options.Net(model_name='lenet')], classes=['a', 'b'])
    request = understood('eval', '--dataset_dir=d')
    assert request[options.Net].model_name == 'lenet' and request.run.classes == ['a', 'b']


@pytest.mark.parametrize('content, message', [
    ('', ' is damaged'), ('{', ' is damaged'), ('[]', ': it is [], expected an object'),
    ('{"classes": []}', ': options is missing'), ('{"options": 3}', ': options is 3, expected an object'),
    ('{"options": {"batch_size": "8"}}', ': options.batch_size is "8", expected a whole number from 1 to '
                                         '1000000'),
    ('{"options": {"use_grayscale": 1}}', ': options.use_grayscale is 1, expected true or false'),
    ('{"options": {"model_name": ["lenet"]}}', ': options.model_name is ["lenet"], expected a text'),
    ('{"options": {"labels_offset": true}}', ': options.labels_offset is true, expected a whole number'),
    ('{"options": {"learning_rate": NaN}}', ': options.learning_rate is NaN, expected a number from 0'),
    ('{"options": {"optimizer": "adamw"}}', ': options.optimizer is "adamw", expected one of adadelta'),
    ('{"options": {}, "classes": "cat"}', ': classes is "cat", expected a list'),
    ('{"options": {}, "classes": ["cat", 7]}', ': classes[1] is 7, expected a text'),
    ('{"options": {}, "image_size": 0}', ': image_size is 0, expected a whole number from 1'),
    ('{"options": {}, "image_size": 28.5}', ': image_size is 28.5, expected a whole number'),
    ('{"options": {}, "channels": 2}', ': channels is 2, expected 1 or 3'),
    ('{"options": {}, "seed": -1}', ': seed is -1, expected a whole number from 0')])
def test_a_wrong_value_in_run_json_is_named_with_file_key_and_expectation(tmp_path, content, message):
    (tmp_path / 'run.json').write_text(content)
    with pytest.raises(UserError) as e:
        options.load_run(str(tmp_path))
    assert str(e.value).startswith(f'{tmp_path}/run.json{message}')
    assert 'remove the file and type its options on the command line' in str(e.value)


def test_a_run_json_of_another_version_is_read(tmp_path):
    (tmp_path / 'run.json').write_text('{"options": {"model_name": "lenet", "later": [1]}, "classes": '
                                       '["a"], "later": {}}')
    run = options.load_run(str(tmp_path))
    assert (run.options['model_name'], run.classes, run.image_size) == ('lenet', ['a'], None)


def test_a_folder_without_run_json_has_no_options(tmp_path):
    assert options.load_run(str(tmp_path)) == options.RunFile({})


def test_paths_in_run_json_are_taken_as_they_are(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', '/home/somebody')
    (tmp_path / 'run.json').write_text('{"options": {"dataset_dir": "~/pic", "dataset_module": '
                                       '"$HOME/notes.py"}}')
    request = understood('eval', str(tmp_path))
    data = request[options.Data]
    assert (data.dataset_dir, data.dataset_module) == ('~/pic', '$HOME/notes.py')


def test_moving_averages_are_used_where_there_are_any_unless_said_otherwise(tmp_path):
    folder = str(tmp_path)
    assert understood('eval', folder).averages is options.Averages.IF_PRESENT
    assert understood('eval', folder, '--moving_average_decay=0').averages is options.Averages.IGNORE
    assert understood('eval', folder, '--moving_average_decay=0.9').averages is options.Averages.USE
    assert understood('eval', '--checkpoint_path=' + folder).averages is options.Averages.IGNORE


def test_every_option_is_json(tmp_path):
    """run.json holds them all: a default that is no JSON would break it."""
    for name in options.COMMANDS:
        for form in ('slim', 'folder'):
            json.dumps(options.defaults(name, form))


# Ranges

NUMBERS = [(command, name) for command in options.COMMANDS
           for name, field in options.command_options(command).items()
           if field.type in (int, float) and field.metadata['only'] is None]


@pytest.mark.parametrize('command, name', NUMBERS)
def test_every_number_has_a_range_and_its_default_lies_in_it(command, name):
    field = options.command_options(command)[name]
    assert field.metadata['least'] < field.metadata['most']
    for form in ('slim', 'folder'):
        default = options.defaults(command, form)[name]
        assert default is None or fits(field, default)
    for edge, beyond in (('least', -1), ('most', 1)):
        number = field.metadata[edge]
        assert fits(field, number) and not fits(field, number + beyond)


#: What people and scripts type by mistake, and what fits
ODD = ['', '0', '-1', '1', '8', '0.5', '1e999', '-1e999', 'nan', 'inf', '9' * 20, '9' * 5000, '1e-320',
       '0x10', '1_000', '١', 'true', 'no',
       'adam', 'auto', 'off', '~', '$HOME', '%s', '{}', 'a,b', ',', 'a b', '\n', '\x1b[2J', '擦花', '--', '-',
       '=', '../..', 'None']


def random_line(rng):
    """A command and words: its options in random spellings with odd values, unknown ones, words alone."""
    command = rng.choice(sorted(options.COMMANDS))
    names = [options.flag(name) for name in options.command_options(command)]
    words = []
    for _ in range(rng.randint(0, 6)):
        name = rng.choice(names + ['--', '-t', '--no-quiet', '-'])
        name = rng.choice([name, name[:rng.randint(2, 40)], name.replace('-', '_'), name[1:], name + 'x'])
        words += rng.choice([[f'{name}={rng.choice(ODD)}'], [name, rng.choice(ODD)], [name],
                             [rng.choice(ODD)]])
    return command, words


def test_random_command_lines_are_requests_or_errors_of_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng, understood_lines = random.Random(7), 0
    for _ in range(1500):
        command, words = random_line(rng)
        try:
            request = understood(command, *words)
        except UserError as e:
            assert str(e)
            continue
        understood_lines += 1
        for name, value in request.typed.items():
            assert fits(options.command_options(command)[name], value), (command, words)
    assert 100 < understood_lines < 1400
