"""`slimtune train`: fine-tunes a net, as slim's train_image_classifier.py does."""
import dataclasses
import os

from slimtune import options
from slimtune.checkpoints import checkpoint
from slimtune.commands.data_set import data_set
from slimtune.errors import UserError
from slimtune.images import conversion
from slimtune.storage import trust
from slimtune.training import initial_weights, train


def run(request):
    """The command: fills in what the folder form leaves open, trains, and says what to type next."""
    data_options, run_options = request[options.Data], request[options.Run]
    folder = data_options.dataset_dir
    if not folder:
        raise UserError('which images? Make the first word a folder of images (slimtune train pic), or add --dataset-dir')
    data_options = data_set(request)
    if request.folder_form and not data_options.dataset_module:
        data_options = dataclasses.replace(
            data_options, dataset_name=conversion.find_or_convert(folder, data_options.dataset_name))
    if not run_options.train_dir:
        beside = '%s_%s' % (os.path.abspath(folder), request[options.Net].model_name)
        run_options = dataclasses.replace(run_options, train_dir=os.path.relpath(beside))
    if data_options.dataset_module:
        trust.remember(run_options.train_dir, data_options.dataset_module)
    start = request[options.Start]
    if request.folder_form and not start.checkpoint_path and not checkpoint.find_latest(run_options.train_dir):
        start = dataclasses.replace(start, checkpoint_path=initial_weights.published_checkpoint(
            request[options.Net].model_name, start, request[options.Cache].cache_dir))
    train.train(data_options, request[options.Net], start, run_options, request[options.Schedule],
          request[options.Optimizer], request[options.Cache], request[options.Engine], request[options.Machines],
          request.folder_form)
