"""`slimtune eval`: evaluates a net on every image of a split, once."""
import dataclasses

from slimtune import options
from slimtune.commands.data_set import data_set
from slimtune.datasets import dataset_factory
from slimtune.evaluation.evaluate import evaluate
from slimtune.terminal import next_step


def run(request):
    """The command: chooses the split where none is named, evaluates, and prints what to type next."""
    tested, net_options, data_options = request[options.Evaluation], request[options.Net], data_set(request)
    if 'dataset_split_name' not in request.typed:
        default = data_options.dataset_split_name
        split = dataset_factory.held_out_split(data_options.dataset_name, data_options.dataset_dir, default)
        data_options = dataclasses.replace(data_options, dataset_split_name=split or default)
    evaluate(tested, data_options, net_options, request.run, request.averages, request[options.Engine])
    unknown = [] if request.run.path else ['--model-name', net_options.model_name, '--label-path', 'LABELS']
    next_step('export', tested.checkpoint_path, *unknown)
