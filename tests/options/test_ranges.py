"""The ends of every option's range, given to the real command: it trains, or says in one line why not."""
import pytest

from slimtune import options

FIELDS = {name: field for name, field in options.command_options('train').items()
          if field.metadata['least'] is not None}
OPTIMIZER = {name: [option for option in FIELDS if option.startswith(name)] for name in options.OPTIMIZERS}
OPTIMIZER.update(adam=['adam_beta1', 'adam_beta2', 'opt_epsilon'], adadelta=['adadelta_rho', 'opt_epsilon'],
                 rmsprop=['rmsprop_momentum', 'rmsprop_decay', 'opt_epsilon'])
SCHEDULE = ['learning_rate', 'learning_rate_decay_factor', 'num_epochs_per_decay', 'end_learning_rate']
# At their upper ends these take more memory or time than a test may.
LARGE = ['batch_size', 'train_image_size', 'max_number_of_steps']
OTHERS = sorted(set(FIELDS) - set(SCHEDULE) - set(LARGE) - {name for names in OPTIMIZER.values()
                                                            for name in names})
#: (flags, the options at one end of their range)
CASES = [([f'--optimizer={name}'], names) for name, names in OPTIMIZER.items()]
CASES += [([f'--learning_rate_decay_type={kind}'], SCHEDULE) for kind in options.DECAYS] + [([], OTHERS)]


def test_every_number_of_train_is_tried():
    assert {name for _, names in CASES for name in names}.union(LARGE) == set(FIELDS)


@pytest.mark.slow
@pytest.mark.parametrize('end', ['least', 'most'])
@pytest.mark.parametrize('flags, names', CASES, ids=[' '.join(flags) or 'others' for flags, _ in CASES])
def test_training_takes_the_ends_of_every_range(flags, names, end, grey_records, capfd, tmp_path,
                                                monkeypatch):
    from slimtune import cli
    monkeypatch.chdir(tmp_path)
    code = cli.main(['train', '--dataset_name=mine', f'--dataset_dir={grey_records}', '--model_name=lenet',
                     '--train_dir=net', '--max_number_of_steps=2', '--batch_size=4', *flags,
                     *[f'--{name}={FIELDS[name].metadata[end]!r}' for name in names]])
    printed = capfd.readouterr()
    assert code in (0, 1), printed
    assert printed.err.count('\n') == code, printed
