"""`slimtune train`: fine-tunes a net, as slim's train_image_classifier.py does."""
from slimtune.commands.data_set import data_set
from slimtune.terminal import next_step
from slimtune.training import run_folder, training_options
from slimtune.training.train import train


def run(request):
    """The command."""
    options = training_options.from_request(request, data_set(request))
    with run_folder.locked(options.run.train_dir):
        train(options)
    next_step('eval', options.run.train_dir)
