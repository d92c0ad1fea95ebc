"""`slimtune eval`: evaluates a net on every image of a split, once."""
import dataclasses

from slimtune import options
from slimtune.commands.data_set import data_set
from slimtune.datasets import dataset_factory
from slimtune.errors import UserError
from slimtune.evaluation.evaluate import evaluate
from slimtune.terminal import next_step


def run(request):
    """The command: chooses the split where none is named, evaluates, and prints what to type next."""
    tested, net_options, data_options = request[options.Evaluation], request[options.Net], data_set(request)
    if 'dataset_split_name' not in request.typed:
        split = choose_split(data_options, request.run.trained_split(data_options))
        data_options = dataclasses.replace(data_options, dataset_split_name=split)
    evaluate(tested, data_options, net_options, request.run, request.averages, request[options.Engine])
    unknown = [] if request.run.path else ['--model-name', net_options.model_name, '--label-path', 'LABELS']
    next_step('export', tested.checkpoint_path, *unknown)


def choose_split(data_options, trained_on):
    """The split to evaluate on where none is named: a held-out one; the default where there is none.

    trained_on: the split that the net was trained on, None where unknown. Raises UserError where nothing else
    is left, because accuracy on training images says little about other images.
    """
    name, folder = data_options.dataset_name, data_options.dataset_dir
    default, splits = data_options.dataset_split_name, dataset_factory.split_names(name, folder)
    split = dataset_factory.held_out_split(name, folder, default, trained_on) or default
    if split == trained_on and splits:
        raise UserError(f'the net was trained on the split {split} of {name}: name the split to evaluate on '
                        f'with --dataset-split-name ({" or ".join(splits)})')
    return split
