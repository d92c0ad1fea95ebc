"""The options of one training: the command line's, and what the folder form fills in."""
import dataclasses
import os
import random
import shlex

from slimtune.checkpoints import checkpoint
from slimtune.datasets import manifest
from slimtune.errors import UserError
from slimtune.images import conversion
from slimtune.nets.nets_factory import get_net
from slimtune.options import Cache, Data, Engine, Machines, Net, Optimizer, Run, Schedule, Start
from slimtune.storage import trust
from slimtune.terminal import say, warn
from slimtune.training import initial_weights
from slimtune.training.trainable import trainable_scopes

# The folder form's (epochs, smallest number of steps) and learning rate: for a head on cached features, and
# for everything else
CACHED_EPOCHS, CACHED_RATE = (60, 2000), 0.006
EPOCHS, RATE = (30, 400), 0.001


@dataclasses.dataclass(frozen=True)
class TrainingOptions:
    """The option groups of a training. folder_form: what is not typed is slimtune's choice, not slim's."""
    data: Data
    net: Net
    start: Start
    run: Run
    schedule: Schedule
    optimizer: Optimizer
    cache: Cache
    engine: Engine
    machines: Machines
    folder_form: bool = False

    def changed(self, group, **values):
        """The same with other values in one group: options.changed('run', seed=1)."""
        return dataclasses.replace(self, **{group: dataclasses.replace(getattr(self, group), **values)})

    def for_run_file(self):
        """The groups that run.json keeps. Its paths are absolute, because the train folder may be moved."""
        kept = self
        for name in ('dataset_dir', 'dataset_module'):
            if getattr(self.data, name):
                kept = kept.changed('data', **{name: os.path.abspath(getattr(self.data, name))})
        return [kept.data, kept.net, kept.start, kept.run, kept.schedule, kept.optimizer, kept.cache,
                kept.engine]


def from_request(request, data):
    """The TrainingOptions of a command line; the folder form's data set, folder and checkpoint filled in.

    data: the request's Data, the user's own module loaded. The images of a folder are converted first where
    that was not done yet, or where they have changed since. Raises UserError where images or published
    weights are missing.
    """
    if not data.dataset_dir:
        raise UserError('which images? Make the first word a folder of images (slimtune train pic), or add '
                        '--dataset-dir')
    options = TrainingOptions(
        data, request[Net], request[Start], request[Run], request[Schedule], request[Optimizer],
        request[Cache], request[Engine], request[Machines], request.folder_form)
    if not options.run.train_dir:
        beside = f'{os.path.abspath(data.dataset_dir)}_{options.net.model_name}'
        options = options.changed('run', train_dir=os.path.relpath(beside))
    if data.dataset_module:
        trust.remember(options.run.train_dir, data.dataset_module)
    if not options.folder_form:
        warn_of_changed_images(data.dataset_dir)
        return options
    if not data.dataset_module:
        name = conversion.find_or_convert(data.dataset_dir, data.dataset_name)
        options = options.changed('data', dataset_name=name)
    resumes = not options.start.restart and checkpoint.find_latest(options.run.train_dir)
    if not options.start.checkpoint_path and not resumes:
        path = initial_weights.published_checkpoint(options.net.model_name, options.start,
                                                    options.cache.cache_dir)
        options = options.changed('start', checkpoint_path=path)
    return options


def warn_of_changed_images(folder):
    """Warns where a folder holds images and records of them, and the images have changed since then."""
    if os.path.exists(os.path.join(folder, manifest.NAME)) and not conversion.is_current(folder):
        warn(f'the images in {folder} have changed since they were converted; training reads the old '
             f'records: slimtune convert {shlex.quote(folder)} converts them again')


def with_scopes(options, origin):
    """The options with what is trained, where the folder form leaves it open, and with a seed.

    Trained is the same as before when resumed; the head where there is a checkpoint to start from; else
    everything, because a head on a random backbone learns nothing. The seed is the earlier run's, else the
    typed one, else random. origin: an initial_weights.Origin.
    """
    seed = options.run.seed if origin.run.seed is None else origin.run.seed
    if seed is None:
        seed = random.randrange(1 << 31)
    options = options.changed('run', seed=seed)
    if not options.folder_form or options.start.trainable_scopes:
        return options
    default = 'head' if options.start.checkpoint_path else 'all'
    chosen = origin.run.options.get('trainable_scopes', default)
    return options.changed('start', trainable_scopes=chosen)


def with_schedule(options, origin, caching, num_images):
    """The options with steps, learning rate and weight decay, where the folder form leaves them open.

    caching: the steps run on cached features. Where the earlier run trained the same scopes, its weight decay
    and at least its number of steps remain. Where it trained others, this is a second stage: its steps are
    added to those before, and the weight decay is None, to be chosen once the features are known
    (train.choose_decay).
    """
    same, earlier = _trains_the_same(options, origin), origin.run.options
    if options.optimizer.weight_decay is None and same:
        options = options.changed('optimizer', weight_decay=earlier.get('weight_decay'))
    if not options.folder_form:
        return options
    if not options.run.max_number_of_steps:
        epochs, least = CACHED_EPOCHS if caching else EPOCHS
        steps = max(least, int(epochs * num_images / options.run.batch_size))
        total = max(steps, earlier.get('max_number_of_steps', 0)) if same else origin.step + steps
        options = options.changed('run', max_number_of_steps=total)
    if options.schedule.learning_rate is None:
        options = options.changed('schedule', learning_rate=CACHED_RATE if caching else RATE)
    return options


def report_uncached(typed, options, origin, num_images):
    """Prints what steps and learning rate would be where they were chosen for cached features in vain.

    typed: the options before with_schedule, whose result is `options`.
    """
    uncached = with_schedule(typed, origin, False, num_images)
    now, better = ((chosen.run.max_number_of_steps, chosen.schedule.learning_rate)
                   for chosen in (options, uncached))
    if now != better:
        say(f'Steps and learning rate remain those for cached features, {now[0]} and {now[1]:g}. Those for '
            f'the whole net: --max-number-of-steps {better[0]} --learning-rate {better[1]:g}')


def _trains_the_same(options, origin):
    """Whether the train folder's earlier run trained the same scopes; not where its run.json is missing."""
    net = get_net(options.net.model_name)
    earlier, now = (set(trainable_scopes(net, text)) for text in (
        origin.run.options.get('trainable_scopes'), options.start.trainable_scopes))
    return origin.run.path is not None and earlier == now
